"""One open conversation with one neighbour: masks out (of keep masks the newest wins), masks in.

The same code serves both ends; gRPC's client and server streams read and write alike.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NoReturn, Protocol

import grpc.aio
from google.protobuf.message import DecodeError

from dslnode.codec import CodedMask, Layouts, MaskAssembler, scale_bits
from dslnode.errors import PeerError
from dslnode.mask import Greeting, MaskKind, MaskMessage, Pace
from dslnode.transport.frames import greeting_frame, read_greeting, read_step, step_frame
from dslnode.transport.handshake import Introduction, read_refusal
from dslnode.transport.traffic import Traffic
from dslnode.v1 import node_pb2 as pb

FAREWELL_SECONDS = 0.5
"""How long the other side has to take in what was sent before the conversation ends."""


class Stream(Protocol):
    """What a client's and a server's end of the gRPC stream have in common."""

    async def read(self) -> object:
        """Return the next frame, or ``grpc.aio.EOF``."""

    async def write(self, message: pb.Frame, /) -> None:
        """Send a frame; returns when gRPC has taken it, which is the back-pressure."""


class Link:
    """A conversation after its handshake.

    ``converse`` runs it to its end; ``offer`` and ``leave`` may be called meanwhile.
    """

    def __init__(
        self,
        stream: Stream,
        neighbour: Introduction,
        layouts: Layouts,
        traffic: Traffic,
        *,
        we_dialled: bool,
        remote: tuple[str, int],
    ) -> None:
        self.neighbour = neighbour
        self.we_dialled = we_dialled
        self.remote = remote
        self.traffic = traffic
        self._stream = stream
        self._assembler = MaskAssembler(layouts)
        self._arriving: MaskKind | None = None
        self._outbox: deque[CodedMask | Greeting | Pace] = deque()
        self._work = asyncio.Event()
        self._farewell: pb.Frame | None = None
        self._leaving = asyncio.Event()

    def offer(self, message: CodedMask | Greeting | Pace) -> None:
        """Send this as soon as the stream takes it, in order; a keep mask takes the place of one that still waits."""
        if _is_keep(message):
            self._outbox = deque(one for one in self._outbox if not _is_keep(one))
        self._outbox.append(message)
        self._work.set()

    def leave(self, reason: str, message: str) -> None:
        """Send what waits, say goodbye, and end the conversation, at the latest after ``FAREWELL_SECONDS``."""
        self._farewell = pb.Frame(refusal=pb.Refusal(reason=reason, message=message))
        self._work.set()
        self._leaving.set()

    async def converse(self, arrived: Callable[[MaskMessage | Greeting | Pace], None]) -> str:
        """Talk until one side ends; return why in a few words.

        Raises ``PeerError`` if the neighbour breaks the protocol.
        """
        ends = [asyncio.ensure_future(end) for end in (self._receive(arrived), self._send(), self._part())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            why = next(end.result() for end in ends if end.done())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            why = "the connection was lost"
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        return "this node left" if self._leaving.is_set() else why

    async def _send(self) -> NoReturn:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._outbox:
                message = self._outbox.popleft()
                if isinstance(message, Greeting):
                    await self._write(pb.Frame(greeting=greeting_frame(message)))
                elif isinstance(message, Pace):
                    await self._write(pb.Frame(pace=pb.Pace(seconds=message.seconds)))
                else:
                    await self._send_mask(message)
            if self._farewell is not None:
                await self._write(self._farewell)
                self._farewell = None

    async def _part(self) -> str:
        """Return when the other side had its time for our farewell; it ends the conversation sooner if it reads it."""
        await self._leaving.wait()
        await asyncio.sleep(FAREWELL_SECONDS)
        return "this node left"

    async def _send_mask(self, mask: CodedMask) -> None:
        header = pb.MaskHeader(
            round=mask.round,
            kind=pb.MaskKind.Name(mask.kind),
            codec=pb.Codec.Name(mask.codec),
            coded_bytes=len(mask.data),
            checksum=mask.checksum,
            step=None if mask.step is None else step_frame(mask.step),
        )
        await self._write(pb.Frame(mask=header), mask.kind, scale_bits(mask.step))
        for chunk in mask.chunks():
            await self._write(pb.Frame(chunk=pb.MaskChunk(data=chunk)), mask.kind, 8 * len(chunk))
        self.traffic.sent.masks += 1

    async def _write(self, frame: pb.Frame, kind: MaskKind | None = None, payload_bits: int = 0) -> None:
        await self._stream.write(frame)
        self.traffic.sent.count(frame.ByteSize(), kind, payload_bits)

    async def _receive(self, arrived: Callable[[MaskMessage | Greeting | Pace], None]) -> str:
        while True:
            frame = await _next_frame(self._stream)
            if frame is None:
                return "it closed the connection"
            if frame.HasField("refusal"):
                self.traffic.received.count(frame.ByteSize())
                return read_refusal(frame.refusal)[1]
            message = self._take(frame)
            if message is not None:
                self.traffic.received.masks += isinstance(message, MaskMessage)
                arrived(message)

    def _take(self, frame: pb.Frame) -> MaskMessage | Greeting | Pace | None:
        received = self.traffic.received
        if frame.HasField("mask"):
            header = frame.mask
            step = read_step(header.step) if header.HasField("step") else None
            self._assembler.header(header.round, header.kind, header.codec, header.coded_bytes, header.checksum, step)
            self._arriving = MaskKind(header.kind)
            received.count(frame.ByteSize(), self._arriving, scale_bits(step))
            return None
        if frame.HasField("chunk"):
            received.count(frame.ByteSize(), self._arriving, 8 * len(frame.chunk.data))
            return self._assembler.chunk(frame.chunk.data)
        received.count(frame.ByteSize())
        if frame.HasField("greeting"):
            return read_greeting(frame.greeting)
        if frame.HasField("pace"):
            return Pace(frame.pace.seconds)
        raise PeerError("unexpected_frame", "sent a frame that has no place in a conversation")


def _is_keep(message: CodedMask | Greeting | Pace) -> bool:
    return isinstance(message, CodedMask) and message.kind is MaskKind.KEEP


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
    if frame is None:  # how gRPC's client says that it could not read what came
        raise PeerError("garbage", "sent bytes that are no frame")
    return frame if isinstance(frame, pb.Frame) else None
