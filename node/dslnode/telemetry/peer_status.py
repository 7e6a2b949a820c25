"""The status of one peer: what Prometheus' metrics, the status reply and the page show of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from dslnode.transport.traffic import Traffic
from dslnode.v1 import node_pb2 as pb


@dataclass(frozen=True)
class PeerStatus:
    """A neighbour, or a configured peer that was not reached yet. Traffic counts from the node's first start.

    ``round``, ``staleness`` (rounds) and ``agreement`` (0 to 1) are of its newest mask, None without one.
    """

    name: str
    node_id: str  # hex; empty if it was not reached yet
    address: str
    connected: bool
    round: int | None = None
    staleness: int | None = None
    agreement: float | None = None
    traffic: Traffic = field(default_factory=Traffic)
    float32_bits_sent: int = 0  # what the masks sent would have taken as 32-bit floats
    problem: str = ""  # why it cannot be reached
    ban_reason: str = ""  # the violation that it is banned for; empty without a ban

    def to_proto(self) -> pb.NeighbourStatus:
        """Return the status as the status reply has it."""
        sent, received = self.traffic.sent, self.traffic.received
        return pb.NeighbourStatus(
            name=self.name,
            node_id=self.node_id,
            address=self.address,
            connected=self.connected,
            round=self.round,
            staleness=self.staleness,
            agreement=self.agreement,
            payload_bits_sent=sent.payload_bits,
            payload_bits_received=received.payload_bits,
            wire_bytes_sent=sent.wire_bytes,
            wire_bytes_received=received.wire_bytes,
            problem=f"banned: {self.ban_reason}" if self.ban_reason else self.problem,
        )
