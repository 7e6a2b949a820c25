"""One open conversation with one neighbour: masks out (of keep masks the newest wins), masks in.

What waits to be sent is not coded yet: a slow neighbour costs the memory of one keep mask.

The same code serves both ends; gRPC's client and server streams read and write alike.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NoReturn, Protocol

import grpc.aio
from google.protobuf.message import DecodeError

from dslnode.errors import PeerError
from dslnode.protocol.messages import MaskKind, MaskMessage
from dslnode.transport.frame_codec import FrameCodec, LinkMessage, OutgoingFrame
from dslnode.transport.handshake import NodeInfo, read_refusal
from dslnode.transport.traffic import Traffic
from dslnode.v1 import node_pb2 as pb

FAREWELL_SECONDS = 0.5
"""How long the other side has to take in what was sent before the conversation ends."""

SLOWEST_SECONDS = 60.0
"""How long the next chunk of a mask may take: a slow link brings one of 64 KiB in half a minute at 20 kbit/s."""


MAX_WAITING = 1000
"""Words that may wait for a neighbour to read on. A round has two or three: it has missed hundreds of rounds."""


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
        neighbour: NodeInfo,
        voice: FrameCodec,
        traffic: Traffic,
        *,
        we_dialled: bool,
        remote: tuple[str, int],
    ) -> None:
        self.neighbour = neighbour
        self.we_dialled = we_dialled
        self.remote = remote
        self.traffic = traffic
        self.copies = voice.copies
        self._stream = stream
        self._voice = voice
        self._outbox: deque[LinkMessage] = deque()
        self._work = asyncio.Event()
        self._resumed = asyncio.Event()  # it is known which of our keep masks the neighbour holds
        self._farewell: pb.Frame | None = None
        self._leaving = asyncio.Event()
        self._clogged = asyncio.Event()

    def send(self, message: LinkMessage) -> None:
        """Send this as soon as the stream takes it, in order; a keep mask takes the place of one that still waits.

        Where too much waits the conversation ends.
        """
        if _is_keep(message):
            self._outbox = deque(one for one in self._outbox if not _is_keep(one))
        if len(self._outbox) >= MAX_WAITING:
            self._clogged.set()
            return
        self._outbox.append(message)
        self._work.set()

    def close(self, reason: str, message: str) -> None:
        """Send what waits, say goodbye, and end the conversation, at the latest after ``FAREWELL_SECONDS``."""
        self._farewell = pb.Frame(refusal=pb.Refusal(reason=reason, message=message))
        self._work.set()
        self._leaving.set()

    async def run(self, arrived: Callable[[LinkMessage], None]) -> str:
        """Talk until one side ends; return why in a few words.

        Raises ``PeerError`` if the neighbour breaks the protocol.
        """
        coroutines = self._receive(arrived), self._send(), self._close_in_time(), self._fail_if_clogged()
        ends = [asyncio.ensure_future(end) for end in coroutines]
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
        holding = self._voice.speaker.holding()
        if holding is None:
            self._resumed.set()
        else:
            await self._write(holding)
        while True:
            await self._work.wait()
            self._work.clear()
            while self._outbox:
                if _is_keep(self._outbox[0]):
                    await self._resumed.wait()
                in_haste = self._leaving.is_set()
                async for parcel in self._voice.speaker.frames(self._outbox.popleft(), in_haste=in_haste):
                    await self._write(parcel)
            if self._farewell is not None:
                await self._write(OutgoingFrame(self._farewell))
                self._farewell = None

    async def _close_in_time(self) -> str:
        """Return when the other side had its time for our farewell; it ends the conversation sooner if it reads it."""
        await self._leaving.wait()
        await asyncio.sleep(FAREWELL_SECONDS)
        return "this node left"

    async def _fail_if_clogged(self) -> NoReturn:
        await self._clogged.wait()
        raise PeerError("slow", f"read nothing while {MAX_WAITING} words for it had to wait")

    async def _write(self, parcel: OutgoingFrame) -> None:
        await self._stream.write(parcel.frame)
        sent = self.traffic.sent
        sent.count(parcel.frame.ByteSize(), parcel.kind, parcel.payload_bits)
        sent.masks += parcel.ends_mask

    async def _receive(self, arrived: Callable[[LinkMessage], None]) -> str:
        listener, received = self._voice.listener, self.traffic.received
        while True:
            frame = await self._next_in_time()
            if frame is None:
                return "it closed the connection"
            received.count(frame.ByteSize(), *listener.payload(frame))
            self._check_allowed(frame.ByteSize())
            if frame.HasField("refusal"):
                return read_refusal(frame.refusal)[1]
            word = await asyncio.to_thread(listener.hear, frame) if self._voice.large else listener.hear(frame)
            if listener.resumed:
                self._resumed.set()
            if word is not None:
                received.masks += isinstance(word, MaskMessage)
                arrived(word)

    async def _next_in_time(self) -> pb.Frame | None:
        """Return the next frame; who has begun a mask may not keep this node waiting with it in memory."""
        try:
            async with asyncio.timeout(SLOWEST_SECONDS if self._voice.listener.midway else None):
                return await _next_frame(self._stream)
        except TimeoutError:
            raise PeerError("slow", f"began a mask and sent nothing more of it for {SLOWEST_SECONDS:g} s") from None

    def _check_allowed(self, size: int) -> None:
        complaint = self._voice.allowance.take(size, asyncio.get_running_loop().time())
        if complaint:
            raise PeerError("flood", complaint)


def _is_keep(word: LinkMessage) -> bool:
    return isinstance(word, MaskMessage) and word.kind is MaskKind.KEEP


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
