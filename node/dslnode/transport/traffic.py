"""Traffic per neighbour and direction: payload bits, and bytes on the wire by kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from dslnode.protocol.messages import MaskKind

GRPC_FRAMING = 5 + 9
"""Bytes that gRPC's message prefix and HTTP/2's frame header add to a message."""


@dataclass
class Flow:
    """One direction between this node and one neighbour."""

    masks: int = 0  # complete masks
    payload_bits: int = 0  # of masks, as coded
    mask_bytes: int = 0  # masks with their headers and framing
    control_bytes: int = 0  # handshakes, greetings and refusals with their framing
    link_bytes: int = 0  # all that the kernel moved, with TCP and IP headers
    resent_bytes: int = 0  # sent again by TCP, without headers
    sign_bits: int = 0  # payload bits of sign masks; the rest is of keep masks
    sign_bytes: int = 0  # mask bytes of sign masks

    def count(self, size: int, kind: MaskKind | None = None, payload_bits: int = 0) -> None:
        """Count one gRPC message of ``size`` serialized bytes: part of a mask of this kind, or control if None."""
        self.payload_bits += payload_bits
        if kind is None:
            self.control_bytes += size + GRPC_FRAMING
        else:
            self.mask_bytes += size + GRPC_FRAMING
        if kind is MaskKind.SIGN:
            self.sign_bits += payload_bits
            self.sign_bytes += size + GRPC_FRAMING

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire: the kernel's count where there is one, otherwise what this process framed."""
        return max(self.link_bytes, self.mask_bytes + self.control_bytes)

    @property
    def overhead_bytes(self) -> int:
        """Wire bytes that are not masks: control messages, HTTP/2, TCP and IP."""
        return self.wire_bytes - self.mask_bytes


@dataclass
class Traffic:
    """Both directions between this node and one neighbour."""

    sent: Flow = field(default_factory=Flow)
    received: Flow = field(default_factory=Flow)
