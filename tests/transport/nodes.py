"""What the transport tests share: whole nodes on loopback whose reports can be waited for."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bitarray import frozenbitarray

from dslnode.protocol.codec.mask_codec import READABLE
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage
from dslnode.security.channels import PlainChannels, TlsChannels
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.dialer import keep_dialing
from dslnode.transport.handshake import INCARNATION_BYTES, NODE_ID_BYTES, NetworkFingerprint, NodeInfo
from dslnode.transport.link_events import LinkEvent, PeerRefused
from dslnode.transport.link_factory import LinkFactory
from dslnode.transport.server import Server
from dslnode.v1 import node_pb2 as pb

SMALL = MaskLayout((MaskLayer("first", (8, 20)), MaskLayer("last", (3, 7))))
LARGE = MaskLayout((MaskLayer("only", (5_000, 5_003)),))
"""More than 3 MB of packed mask, so 48 chunks, far more than the windows of HTTP/2 hold."""
PATIENCE = 20.0
"""Seconds after which a test that waits has failed; what it waits for takes milliseconds."""

SomeReport = TypeVar("SomeReport", bound=LinkEvent)


def introduction(number: int, layout: MaskLayout = SMALL, life: int = 0) -> NodeInfo:
    """Return what node ``number`` says of itself; nodes with smaller numbers have smaller node ids."""
    model = NetworkFingerprint(
        fingerprint=layout.digest[::-1],
        layout=layout.digest,
        layers=len(layout.layers),
        weights=layout.size,
        seed=7,
        scores=layout.size,
    )
    incarnation = bytes([number, life]).ljust(INCARNATION_BYTES, b"i")
    return NodeInfo(
        run_id="run",
        node_id=bytes([number]).ljust(NODE_ID_BYTES, b"n"),
        incarnation=incarnation,
        name=f"node-{number}",
        advertise="",
        model=model,
        exchange="keep",
        codecs=READABLE,
        start=b"start 99",
    )


def message(layout: MaskLayout, number: int, round_number: int = 0) -> MaskMessage:
    """Return a message with a random mask that depends on ``number`` only."""
    packed = bytearray(random.Random(number).randbytes(layout.byte_size))
    packed[-1] &= (1 << (layout.size % 8 or 8)) - 1
    bits = frozenbitarray(buffer=bytes(packed), endian="little")[: layout.size]
    return MaskMessage(round_number, MaskKind.KEEP, Mask(layout, bits))


async def soon(condition: Callable[[], object]) -> None:
    """Let the event loop turn until something holds that nobody reports; ``TimeoutError`` if it never does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


class News:
    """Wakes whoever waits for a condition whenever something was reported anywhere in the test."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def spread(self) -> None:
        """Let the conditions be looked at again."""
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return as soon as the condition holds; ``TimeoutError`` if it never does."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Node:
    """A network with its server, and everything that it reported."""

    news: News
    me: NodeInfo
    layout: MaskLayout = SMALL
    tunnels: TlsTunnels | None = None
    round: int = 0
    port: int = 0
    reports: list[LinkEvent] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = ConnectionManager(self.me, self.edges(), lambda: self.round, self._take)
        self.server = Server(self.network, lambda: pb.StatusReply(name=self.me.name), tunnels=self.tunnels)

    def edges(self) -> LinkFactory:
        """Return how this node codes its masks; every node starts from the same one."""
        return LinkFactory(self.me, dict.fromkeys(MaskKind, self.layout), message(self.layout, 99).mask)

    @property
    def address(self) -> str:
        """Where others dial this node."""
        return f"127.0.0.1:{self.port}"

    def all(self, kind: type[SomeReport]) -> list[SomeReport]:
        """Return all reports of one kind in their order."""
        return [report for report in self.reports if isinstance(report, kind)]

    def refusals(self) -> list[str]:
        """Return the reasons of all refusals in their order."""
        return [report.reason for report in self.all(PeerRefused)]

    def dial(self, address: str) -> asyncio.Task[None]:
        """Keep a link to this address until the end of the test."""
        channels = PlainChannels() if self.tunnels is None else TlsChannels(self.tunnels)
        task = self.spawn(keep_dialing(self.network, address, random.Random(self.me.key), channels))
        self.tasks.append(task)
        return task

    def spawn(self, job: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run a job beside the test; the waiting hear of its end."""
        task = asyncio.ensure_future(job)
        task.add_done_callback(lambda _: self.news.spread())
        return task

    async def stop(self) -> None:
        """End as a process that is killed does: no goodbye."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.server.stop(0)
        if self.tunnels is not None:
            self.tunnels.remove()

    def reborn(self, *, elsewhere: bool = False) -> Node:
        """Return the node of the process that is started in this one's place, on the same port or another."""
        life = self.me.incarnation[1] + 1
        me = replace(self.me, incarnation=introduction(self.me.node_id[0], life=life).incarnation)
        return Node(self.news, me, self.layout, port=0 if elsewhere else self.port)

    def _take(self, report: LinkEvent) -> None:
        self.reports.append(report)
        self.news.spread()


class Loopback:
    """Starts nodes and stops them all at the end of the test."""

    def __init__(self) -> None:
        self.news = News()
        self._nodes: list[Node] = []

    async def start(self, node: Node) -> Node:
        """Let a node listen, on a free port unless it has one."""
        node.port = await node.server.listen(node.address)
        self._nodes.append(node)
        return node

    async def node(self, number: int, layout: MaskLayout = SMALL, me: NodeInfo | None = None) -> Node:
        """Start a node; with equal layouts all of them match."""
        return await self.start(Node(self.news, me or introduction(number, layout), layout))

    async def pair(self, layout: MaskLayout = SMALL) -> tuple[Node, Node]:
        """Start two nodes of which the first dials the second, and wait until they are connected."""
        one, other = await self.node(1, layout), await self.node(2, layout)
        one.dial(other.address)
        await self.connected(one, other)
        return one, other

    async def connected(self, *nodes: Node) -> None:
        """Wait until each node has a link to each other one."""
        await self.news.until(
            lambda: all(other.me.key in node.network.links for node in nodes for other in nodes if other is not node)
        )

    async def stop(self) -> None:
        """Stop all nodes."""
        await asyncio.gather(*(node.stop() for node in self._nodes))


@contextlib.asynccontextmanager
async def loopback() -> AsyncIterator[Loopback]:
    """Give a test its loopback network."""
    net = Loopback()
    try:
        yield net
    finally:
        await net.stop()
