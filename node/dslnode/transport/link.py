"""One open link with one neighbour: messages out, messages in. A newer keep mask replaces one that still waits.

A message is coded only when it is written, so that a slow neighbour costs the memory of one keep mask. The same code
serves both sides: gRPC's client and server streams read and write alike.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NoReturn, Protocol

import grpc.aio
from google.protobuf.message import DecodeError

from dslnode.errors import PeerError
from dslnode.protocol.membership import MembershipUpdate
from dslnode.protocol.messages import MaskKind, MaskMessage
from dslnode.transport.frame_codec import FrameCodec, LinkMessage, OutgoingFrame
from dslnode.transport.handshake import NodeInfo, read_refusal
from dslnode.transport.traffic import Traffic
from dslnode.v1 import node_pb2 as pb

FAREWELL_SECONDS = 0.5
"""Seconds that the other side has to read what was sent before the conversation ends."""

SLOWEST_SECONDS = 60.0
"""Seconds that the next chunk of a mask may take. A link of 20 kbit/s brings one of 64 KiB in half of that."""


MAX_WAITING = 1000
"""Messages that may wait for a neighbour to read. A round has two or three, so it has missed hundreds of rounds."""
MAX_WAITING_BYTES = 8 * 2**20
"""Bytes that may wait for a neighbour to read, or the masks of ``MAX_WAITING_MASKS`` messages if those are more."""
MAX_WAITING_MASKS = 4


class Stream(Protocol):
    """What the client's and the server's end of a gRPC stream have in common."""

    async def read(self) -> object:
        """Return the next frame, or ``grpc.aio.EOF``."""

    async def write(self, message: pb.Frame, /) -> None:
        """Send a frame; return when gRPC has taken it, which is the back-pressure."""


class Link:
    """A conversation after its handshake. ``run`` holds it to its end; ``send`` and ``close`` may be called meanwhile.

    ``remote`` is the host and port of the other side, ``we_dialled`` whether this node opened the link.
    """

    def __init__(
        self,
        stream: Stream,
        neighbour: NodeInfo,
        codec: FrameCodec,
        traffic: Traffic,
        *,
        we_dialled: bool,
        remote: tuple[str, int],
    ) -> None:
        self.neighbour = neighbour
        self.we_dialled = we_dialled
        self.remote = remote
        self.traffic = traffic
        self.references = codec.references
        self._stream = stream
        self._codec = codec
        self._outbox: deque[LinkMessage] = deque()
        self._work = asyncio.Event()
        self._resumed = asyncio.Event()  # it is known which of our keep masks the neighbour holds
        self._farewell: pb.Frame | None = None
        self._leaving = asyncio.Event()
        self._overflowed = asyncio.Event()

    def send(self, message: LinkMessage) -> None:
        """Queue a message, in order. A keep mask replaces one that still waits. A full queue ends the conversation."""
        if _is_keep_mask(message):
            self._outbox = deque(waiting for waiting in self._outbox if not _is_keep_mask(waiting))
        size = _size(message)
        room = max(MAX_WAITING_BYTES, MAX_WAITING_MASKS * size) - size
        if len(self._outbox) >= MAX_WAITING or sum(map(_size, self._outbox)) > room:
            self._overflowed.set()
            return
        self._outbox.append(message)
        self._work.set()

    @property
    def update_waits(self) -> bool:
        """Whether a membership update still waits: the next one is better made when it has been sent."""
        return any(isinstance(message, MembershipUpdate) for message in self._outbox)

    def close(self, reason: str, message: str) -> None:
        """Send what waits and a refusal, and end the conversation after ``FAREWELL_SECONDS`` at the latest."""
        self._farewell = pb.Frame(refusal=pb.Refusal(reason=reason, message=message))
        self._work.set()
        self._leaving.set()

    async def run(self, arrived: Callable[[LinkMessage], None]) -> str:
        """Send and receive until one side ends; return why, in a few words.

        Raises ``PeerError`` if the neighbour breaks a rule.
        """
        coroutines = self._receive(arrived), self._send(), self._close_in_time(), self._fail_on_overflow()
        tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            explanation = next(task.result() for task in tasks if task.done())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            explanation = "the connection was lost"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return "this node left" if self._leaving.is_set() else explanation

    async def _send(self) -> NoReturn:
        holding = self._codec.encoder.holding_frame()
        if holding is None:
            self._resumed.set()
        else:
            await self._write(holding)
        while True:
            await self._work.wait()
            self._work.clear()
            while self._outbox:
                if _is_keep_mask(self._outbox[0]):
                    await self._resumed.wait()
                leaving = self._leaving.is_set()
                async for frame in self._codec.encoder.encode(self._outbox.popleft(), leaving=leaving):
                    await self._write(frame)
            if self._farewell is not None:
                await self._write(OutgoingFrame(self._farewell))
                self._farewell = None

    async def _close_in_time(self) -> str:
        """Return when the other side had its time to read the farewell. It ends the stream sooner when it has."""
        await self._leaving.wait()
        await asyncio.sleep(FAREWELL_SECONDS)
        return "this node left"

    async def _fail_on_overflow(self) -> NoReturn:
        await self._overflowed.wait()
        raise PeerError("slow", f"read nothing while {len(self._outbox)} messages for it had to wait")

    async def _write(self, outgoing: OutgoingFrame) -> None:
        await self._stream.write(outgoing.frame)
        sent = self.traffic.sent
        sent.count(outgoing.frame.ByteSize(), outgoing.kind, outgoing.payload_bits)
        sent.masks += outgoing.ends_mask

    async def _receive(self, arrived: Callable[[LinkMessage], None]) -> str:
        decoder, received = self._codec.decoder, self.traffic.received
        while True:
            frame = await self._next_in_time()
            if frame is None:
                return "it closed the connection"
            received.count(frame.ByteSize(), *decoder.payload(frame))
            self._check_rate(frame)
            if frame.HasField("refusal"):
                return read_refusal(frame.refusal)[1]
            message = await asyncio.to_thread(decoder.decode, frame) if self._codec.large else decoder.decode(frame)
            if decoder.resumed:
                self._resumed.set()
            if message is not None:
                received.masks += isinstance(message, MaskMessage)
                arrived(message)

    async def _next_in_time(self) -> pb.Frame | None:
        """Return the next frame. A mask that has begun takes memory, so its next chunk must come in time."""
        try:
            async with asyncio.timeout(SLOWEST_SECONDS if self._codec.decoder.mask_incomplete else None):
                return await _next_frame(self._stream)
        except TimeoutError:
            raise PeerError("slow", f"began a mask and sent nothing more of it for {SLOWEST_SECONDS:g} s") from None

    def _check_rate(self, frame: pb.Frame) -> None:
        now, records = asyncio.get_running_loop().time(), len(frame.members.nodes)
        excess = self._codec.rate_limit.consume(frame.ByteSize(), now, records=records)
        if excess:
            raise PeerError("flood", excess)


def _size(message: LinkMessage) -> int:
    """Return the bytes that a waiting message takes, about."""
    match message:
        case MaskMessage():
            return message.mask.layout.byte_size
        case MembershipUpdate():
            return sum(record.size for record in message.records)
        case _:
            return 100


def _is_keep_mask(message: LinkMessage) -> bool:
    return isinstance(message, MaskMessage) and message.kind is MaskKind.KEEP


async def read_frame(stream: Stream, deadline: float) -> pb.Frame:
    """Return the first frame of a conversation; ``PeerError`` if none comes within ``deadline`` seconds."""
    try:
        async with asyncio.timeout(deadline):
            frame = await _next_frame(stream)
    except TimeoutError:
        raise PeerError("silent", f"said nothing within {deadline:g} s of connecting") from None
    if frame is None:
        raise PeerError("silent", "closed the connection without a word")
    return frame


async def _next_frame(stream: Stream) -> pb.Frame | None:
    """Return the next frame, None at the end of the stream; ``PeerError`` if the bytes are no frame."""
    try:
        frame = await stream.read()
    except DecodeError:
        frame = None
    if frame is None:  # gRPC's client returns None for bytes that it could not decode
        raise PeerError("garbage", "sent bytes that are no frame")
    return frame if isinstance(frame, pb.Frame) else None
