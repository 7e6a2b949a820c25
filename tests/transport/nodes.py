"""What the transport tests share: whole nodes on loopback, whose link events can be waited for."""

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

SomeEvent = TypeVar("SomeEvent", bound=LinkEvent)


def node_info(number: int, layout: MaskLayout = SMALL, restarts: int = 0) -> NodeInfo:
    """Return the hello's content of node ``number``; smaller numbers have smaller node ids."""
    model = NetworkFingerprint(
        fingerprint=layout.digest[::-1],
        layout=layout.digest,
        layers=len(layout.layers),
        weights=layout.size,
        seed=7,
        scores=layout.size,
    )
    incarnation = bytes([number, restarts]).ljust(INCARNATION_BYTES, b"i")
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
    """Let the event loop run until a condition holds that no event reports; ``TimeoutError`` if it never does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


class News:
    """Wakes those that wait for a condition whenever any node of the test reports an event."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def spread(self) -> None:
        """Have the conditions checked again."""
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return as soon as the condition holds; ``TimeoutError`` if it never does."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Node:
    """A connection manager with its server, and the link events that it reported."""

    news: News
    me: NodeInfo
    layout: MaskLayout = SMALL
    tunnels: TlsTunnels | None = None
    round: int = 0
    port: int = 0
    events: list[LinkEvent] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = ConnectionManager(self.me, self.link_factory(), lambda: self.round, self._record)
        self.server = Server(self.network, lambda: pb.StatusReply(name=self.me.name), tunnels=self.tunnels)

    def link_factory(self) -> LinkFactory:
        """Return the factory of its links. All nodes start from the same mask."""
        return LinkFactory(self.me, dict.fromkeys(MaskKind, self.layout), message(self.layout, 99).mask)

    @property
    def address(self) -> str:
        """Where others dial this node."""
        return f"127.0.0.1:{self.port}"

    def all(self, kind: type[SomeEvent]) -> list[SomeEvent]:
        """Return all events of one kind in their order."""
        return [event for event in self.events if isinstance(event, kind)]

    def refusals(self) -> list[str]:
        """Return the reasons of all refusals in their order."""
        return [event.reason for event in self.all(PeerRefused)]

    def dial(self, address: str) -> asyncio.Task[None]:
        """Keep a link to this address until the end of the test."""
        channels = PlainChannels() if self.tunnels is None else TlsChannels(self.tunnels)
        task = self.spawn(keep_dialing(self.network, address, random.Random(self.me.key), channels))
        self.tasks.append(task)
        return task

    def spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run a coroutine beside the test. Its end wakes those that wait."""
        task = asyncio.ensure_future(coroutine)
        task.add_done_callback(lambda _: self.news.spread())
        return task

    async def stop(self) -> None:
        """End as a killed process does: without a goodbye."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.server.stop(0)
        if self.tunnels is not None:
            self.tunnels.remove()

    def restarted(self, *, elsewhere: bool = False) -> Node:
        """Return the node after a restart, on the same port or ``elsewhere`` on another."""
        restarts = self.me.incarnation[1] + 1
        me = replace(self.me, incarnation=node_info(self.me.node_id[0], restarts=restarts).incarnation)
        return Node(self.news, me, self.layout, port=0 if elsewhere else self.port)

    def _record(self, event: LinkEvent) -> None:
        self.events.append(event)
        self.news.spread()


class Loopback:
    """Starts nodes and stops them all at the end of the test."""

    def __init__(self) -> None:
        self.news = News()
        self._nodes: list[Node] = []

    async def start(self, node: Node) -> Node:
        """Have a node listen, on a free port unless it has one."""
        node.port = await node.server.listen(node.address)
        self._nodes.append(node)
        return node

    async def node(self, number: int, layout: MaskLayout = SMALL, me: NodeInfo | None = None) -> Node:
        """Start a node; with equal layouts all of them match."""
        return await self.start(Node(self.news, me or node_info(number, layout), layout))

    async def pair(self, layout: MaskLayout = SMALL) -> tuple[Node, Node]:
        """Start two nodes of which the first dials the second, and wait until they are connected."""
        first, second = await self.node(1, layout), await self.node(2, layout)
        first.dial(second.address)
        await self.connected(first, second)
        return first, second

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
