"""A board with a valid ticket that breaks the rules of the protocol again and again, so that it is banned."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

import grpc.aio

from dslnode.addresses import host_and_port
from dslnode.config.loader import load
from dslnode.errors import PeerError
from dslnode.runtime.build import build_learner
from dslnode.runtime.prepare import node_info
from dslnode.security.channels import TlsChannels
from dslnode.security.credentials import Credentials
from dslnode.security.ticket import read_ticket
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.v1 import node_pb2 as pb

CONVERSE = "/dslnode.v1.Neighbour/Converse"
GARBAGE = b"\xff\xfe\xfd no frame"
PAUSE = 0.3
SECONDS = 10.0


class Vandal:
    """Introduces itself to the node at ``victim`` and sends garbage, until left."""

    def __init__(self, ticket: Path, victim: str) -> None:
        settings = load({"ticket": str(ticket)}, {}, None).settings
        me = node_info(settings, build_learner(settings), bytes.fromhex(read_ticket(ticket).node_id))
        self._hello: bytes = pb.Frame(hello=me.to_proto(0)).SerializeToString()
        self._ticket, self._victim = ticket, victim
        self._left = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._go_on()))

    def __enter__(self) -> Vandal:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    async def _go_on(self) -> None:
        tunnels = TlsTunnels(Credentials(self._ticket, None))
        while not self._left.is_set():
            with contextlib.suppress(OSError, PeerError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                async with TlsChannels(tunnels).open(*host_and_port(self._victim), SECONDS) as opened:
                    await self._offend(opened.target)
            await asyncio.to_thread(self._left.wait, PAUSE)
        tunnels.remove()

    async def _offend(self, target: str) -> None:
        async with grpc.aio.insecure_channel(target) as channel, asyncio.timeout(SECONDS):
            call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(CONVERSE)()  # no serialisers: bytes
            await call.write(self._hello)
            answer = await call.read()
            if isinstance(answer, bytes) and pb.Frame.FromString(answer).HasField("hello"):
                await call.write(GARBAGE)
                await call.read()
