"""All links of a node: accepts and opens conversations, keeps one link per neighbour, and reports what happens.

What happens is reported as values to one callback, in order, on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container

from dslnode.errors import PeerError
from dslnode.protocol.membership import MembershipUpdate
from dslnode.protocol.messages import ExchangeState, IntervalRequest
from dslnode.transport.frame_codec import LinkMessage
from dslnode.transport.handshake import NodeInfo, check_match, read_hello, refusal, replaces
from dslnode.transport.link import Link, Stream, read_frame
from dslnode.transport.link_events import (
    ExchangeStateArrived,
    IntervalRequested,
    LinkDown,
    LinkEvent,
    LinkUp,
    MaskArrived,
    MembershipUpdateArrived,
    PeerRefused,
)
from dslnode.transport.link_factory import LinkFactory
from dslnode.transport.peer_bans import PeerBans
from dslnode.transport.traffic import Traffic
from dslnode.transport.wire_meter import WireMeter
from dslnode.v1 import node_pb2 as pb

HELLO_SECONDS = 5.0
TAKE_OVER_SECONDS = 1.0
MAX_LINKS = 100
MAX_ACCOUNTS = 1_000
OTHERS = "others"


class ConnectionManager:
    """The links of node ``me``, by neighbour key (node id in hex).

    ``round_now`` returns the round for the hello, ``on_event`` is called with each link event. ``traffic`` counts
    bytes by neighbour key; ``dialled`` has the key of the node that answered at an address. With ``max_wanted_links``
    open, only essential links are accepted. The hello says that a link is essential if its address is among
    ``essential_addresses``, or if that is None.
    """

    def __init__(
        self,
        me: NodeInfo,
        link_factory: LinkFactory,
        round_now: Callable[[], int],
        on_event: Callable[[LinkEvent], None],
    ) -> None:
        self.me = me
        self.links: dict[str, Link] = {}
        self.traffic: dict[str, Traffic] = {}
        self.dialled: dict[str, str] = {}
        self.max_wanted_links = MAX_LINKS
        self.essential_addresses: Container[str] | None = None
        self._link_factory = link_factory
        self._round_now = round_now
        self._on_event = on_event
        self._leaving: str | None = None
        self._meter = WireMeter()
        self._bans = PeerBans()
        self._links_changed = asyncio.Condition()

    def send(self, neighbour: str, message: LinkMessage) -> None:
        """Queue a message on a neighbour's link. It is dropped if there is none: the next link resynchronizes."""
        if neighbour in self.links:
            self.links[neighbour].send(message)

    def report(self, event: LinkEvent) -> None:
        """Pass an event to the callback."""
        self._on_event(event)

    async def send_hello(self, stream: Stream, address: str = "") -> None:
        """Send our hello. ``address`` is where we dialled, empty if the other side did."""
        essential = bool(address) and (self.essential_addresses is None or address in self.essential_addresses)
        await stream.write(pb.Frame(hello=self.me.to_proto(self._round_now(), essential=essential)))

    async def refuse(self, stream: Stream, address: str, error: PeerError) -> None:
        """Send a refusal, and report it."""
        self._on_event(PeerRefused(address, error.reason, str(error)))
        await stream.write(refusal(error))

    async def accept(self, stream: Stream, remote: tuple[str, int]) -> None:
        """Hold a conversation that a peer opened, from its first frame to its end."""
        address = f"{remote[0]}:{remote[1]}"
        try:
            neighbour, their_round = await self._read_hello(stream)
            if self._leaving is not None:
                raise PeerError("leaving", self._leaving)
            self._check_room(neighbour)
            await self.send_hello(stream)
            self._check_room(neighbour)  # other links may have opened meanwhile
            self._check_duplicate(neighbour, we_dialled=False)
            await self._converse(stream, neighbour, their_round, we_dialled=False, remote=remote)
        except PeerError as error:
            await self.refuse(stream, address, error)

    async def connect(self, stream: Stream, address: str, remote: tuple[str, int]) -> None:
        """Hold a conversation that this node opened, to its end.

        Raises ``PeerError`` if the other side refuses, does not match or breaks a rule.
        """
        await self.send_hello(stream, address)
        neighbour, their_round = await self._read_hello(stream)
        self.dialled[address] = neighbour.key
        if len(self.dialled) > MAX_ACCOUNTS:
            del self.dialled[next(iter(self.dialled))]
        if self._leaving is not None:
            raise PeerError("leaving", self._leaving)
        self._check_duplicate(neighbour, we_dialled=True)
        await self._converse(stream, neighbour, their_round, we_dialled=True, remote=remote, address=address)

    async def wait_until_needed(self, address: str) -> None:
        """Return when the node at this address has no link, whichever side dialled it, and is not banned.

        Never returns once this node leaves.
        """
        async with self._links_changed:
            await self._links_changed.wait_for(
                lambda: self._leaving is None and self.dialled.get(address) not in self.links
            )
        await asyncio.sleep(self._bans.seconds_left(self.dialled.get(address, ""), _now()))

    def ban_reason(self, neighbour: str) -> str:
        """Return why a neighbour is banned now; empty if it is not."""
        return self._bans.reason(neighbour, _now())

    def report_violation(self, neighbour: str, reason: str, explanation: str) -> None:
        """Ban a neighbour, and end its link, for a rule that the owner of this object checks."""
        if self._bans.report_violation(neighbour, reason, _now()) and neighbour in self.links:
            self.links[neighbour].close(reason, explanation)

    def measure_traffic(self) -> None:
        """Add the bytes that the kernel counted since the last call to the accounts in ``traffic``."""
        accounts = {link.remote: link.traffic for link in self.links.values()}
        self._meter.measure(accounts, self._traffic_of(OTHERS))

    def leave(self, message: str) -> None:
        """Say goodbye on all links, after the messages that still wait there, and open no more."""
        self._leaving = message
        for link in self.links.values():
            link.close("leaving", message)

    def disconnect(self, neighbour: str) -> None:
        """End a link that this node needs no more."""
        self.links[neighbour].close("surplus", "has neighbours enough, and no more need of this link")

    async def wait_until_linked(self, count: int) -> None:
        """Return when at least ``count`` links are open."""
        async with self._links_changed:
            await self._links_changed.wait_for(lambda: len(self.links) >= count)

    async def wait_until_no_links(self) -> None:
        """Return when no link is open."""
        async with self._links_changed:
            await self._links_changed.wait_for(lambda: not self.links)

    def _traffic_of(self, neighbour: str) -> Traffic:
        """Return a neighbour's account. Beyond ``MAX_ACCOUNTS`` new ones share one, so that memory stays bounded."""
        key = neighbour if neighbour in self.traffic or len(self.traffic) < MAX_ACCOUNTS else OTHERS
        return self.traffic.setdefault(key, Traffic())

    async def _read_hello(self, stream: Stream) -> tuple[NodeInfo, int]:
        neighbour, their_round = read_hello(await read_frame(stream, HELLO_SECONDS))
        check_match(self.me, neighbour)
        if reason := self.ban_reason(neighbour.key):
            raise PeerError("banned", f"is banned for a while, because of {reason}")
        return neighbour, their_round

    def _check_room(self, neighbour: NodeInfo) -> None:
        if neighbour.key in self.links:
            return
        if len(self.links) >= MAX_LINKS:
            raise PeerError("full", f"has {MAX_LINKS} neighbours already and takes no more")
        wanted = self.max_wanted_links
        if len(self.links) >= wanted and not neighbour.essential:
            raise PeerError("enough", f"has {wanted} neighbours and takes more only to hold the network together")

    def _check_duplicate(self, neighbour: NodeInfo, *, we_dialled: bool) -> None:
        former = self.links.get(neighbour.key)
        if former is None:
            return
        old = (former.neighbour, former.we_dialled)
        if not replaces(self.me.node_id, old, (neighbour, we_dialled)):
            raise PeerError("duplicate", "is connected already by the link that the other side dialled")

    async def _converse(
        self,
        stream: Stream,
        neighbour: NodeInfo,
        their_round: int,
        *,
        we_dialled: bool,
        remote: tuple[str, int],
        address: str = "",
    ) -> None:
        traffic = self._traffic_of(neighbour.key)
        former = self.links.get(neighbour.key)
        link = self._link_factory.open_link(stream, neighbour, traffic, former, we_dialled=we_dialled, remote=remote)
        if former is not None:
            self._close_replaced(former, at_once=we_dialled)
            self.measure_traffic()
        self.links[neighbour.key] = link
        self._on_event(LinkUp(neighbour, their_round, address or neighbour.advertise))
        explanation = "the connection was lost"
        try:
            await self._notify_links_changed()
            explanation = await link.run(lambda message: self._on_event(_arrival(neighbour, message)))
        except PeerError as error:
            explanation = str(error)
            self._bans.report_violation(neighbour.key, error.reason, _now())
            raise
        finally:
            await self._remove(link, explanation)

    def _close_replaced(self, former: Link, *, at_once: bool) -> None:
        """End a link that another one replaces.

        The dialler of the new link knows that it is open on both sides. The other side waits a moment: its goodbye on
        the old link must not overtake its hello on the new one.
        """
        farewell = ("duplicate", "another link to the same neighbour takes over")
        asyncio.get_running_loop().call_later(0 if at_once else TAKE_OVER_SECONDS, former.close, *farewell)

    async def _remove(self, link: Link, explanation: str) -> None:
        if self.links.get(link.neighbour.key) is not link:
            return
        self.measure_traffic()
        del self.links[link.neighbour.key]
        self._link_factory.remember(link)
        self._on_event(LinkDown(link.neighbour, explanation))
        await self._notify_links_changed()

    async def _notify_links_changed(self) -> None:
        async with self._links_changed:
            self._links_changed.notify_all()


def _now() -> float:
    return time.monotonic()


def _arrival(neighbour: NodeInfo, message: LinkMessage) -> LinkEvent:
    match message:
        case ExchangeState():
            return ExchangeStateArrived(neighbour, message)
        case IntervalRequest():
            return IntervalRequested(neighbour, message)
        case MembershipUpdate():
            return MembershipUpdateArrived(neighbour, message)
        case _:
            return MaskArrived(neighbour, message)
