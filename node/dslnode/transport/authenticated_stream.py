"""A stream whose other side has proved its identity by a certificate: its hello must say the same."""

from __future__ import annotations

from dslnode.security.identity import Identity, check_claimed_identity
from dslnode.transport.link import Stream
from dslnode.v1 import node_pb2 as pb


class AuthenticatedStream:
    """Passes frames through. ``read`` raises ``PeerError`` at a hello that does not match the certificate."""

    def __init__(self, stream: Stream, identity: Identity) -> None:
        self._stream = stream
        self._identity = identity

    async def read(self) -> object:
        """Return the next frame, or ``grpc.aio.EOF``."""
        frame = await self._stream.read()
        if isinstance(frame, pb.Frame) and frame.HasField("hello"):
            check_claimed_identity(self._identity, frame.hello.node_id, frame.hello.name)
        return frame

    async def write(self, message: pb.Frame, /) -> None:
        """Send a frame."""
        await self._stream.write(message)
