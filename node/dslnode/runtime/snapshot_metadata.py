"""What a snapshot says beside its arrays: the round, whose state it is, known peers, and traffic so far."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from dslnode.learning.options import Keep
from dslnode.transport.traffic import Flow, Traffic


class Metadata(BaseModel):
    """A part of the metadata. Unknown fields, as of a later version, are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class KnownPeer(Metadata):
    """A node of the network and the HOST:PORT at which it can be dialled, or an empty text.

    ``met`` says that it was met there.
    """

    node_id: str = Field(pattern=r"^[0-9a-f]{1,64}$")
    name: str = Field(max_length=255)
    advertise: str = Field(max_length=255)
    met: bool = False


class SavedFlow(Metadata):
    """One direction of the traffic with a neighbour, in bits and bytes since the node's first start."""

    masks: int = Field(0, ge=0)
    payload_bits: int = Field(0, ge=0)
    mask_bytes: int = Field(0, ge=0)
    control_bytes: int = Field(0, ge=0)
    link_bytes: int = Field(0, ge=0)
    resent_bytes: int = Field(0, ge=0)
    sign_bits: int = Field(0, ge=0)
    sign_bytes: int = Field(0, ge=0)

    @classmethod
    def of(cls, flow: Flow) -> SavedFlow:
        """Return a flow as it is saved."""
        return cls(**{name: getattr(flow, name) for name in cls.model_fields})

    def flow(self) -> Flow:
        """Return the flow that was saved."""
        return Flow(**self.model_dump())


class SavedTraffic(Metadata):
    """Both directions of the traffic with a neighbour."""

    sent: SavedFlow
    received: SavedFlow

    @classmethod
    def of(cls, traffic: Traffic) -> SavedTraffic:
        """Return the traffic as it is saved."""
        return cls(sent=SavedFlow.of(traffic.sent), received=SavedFlow.of(traffic.received))

    def traffic(self) -> Traffic:
        """Return the traffic that was saved."""
        return Traffic(self.sent.flow(), self.received.flow())


class SnapshotMetadata(Metadata):
    """``round`` is the one to begin with after a restart; ``fingerprint`` that of the frozen network, in hex.

    ``score``, by its name, was measured last on held-out data, if it was, and ``threshold`` is the error from which an
    example is an anomaly. ``keep`` is which model the node exports. ``description`` is what its model is, as JSON;
    states of earlier releases have none. ``neighbours`` were linked, ``members`` are nodes that can be dialled;
    ``traffic`` is by node id in hex.
    """

    round: int = Field(ge=0)
    run_id: str
    fingerprint: str
    score: float | None = None
    score_name: str = Field("", max_length=255)
    threshold: float | None = None
    keep: Keep = "best"
    description: str = ""
    neighbours: list[KnownPeer] = Field(default_factory=list)
    members: list[KnownPeer] = Field(default_factory=list)
    traffic: dict[str, SavedTraffic] = Field(default_factory=dict)
