"""All links of a node: takes in callers, dials peers, keeps one link for each neighbour, and reports what happens
as values to one callback, in the order in which it happened, on the event loop's thread.
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

HELLO_SECONDS = 5.0
TAKE_OVER_SECONDS = 1.0
MAX_LINKS = 100
MAX_ACCOUNTS = 1_000
OTHERS = "others"


class ConnectionManager:
    """The node's links by neighbour key (node id in hex). ``round_now`` tells the round for the handshake.

    ``traffic`` counts by neighbour key; ``dialled`` remembers who answered at which address. With ``enough`` links it
    takes in only who needs one; a dialler says so of the addresses in ``essential``, of all if that is None.
    """

    def __init__(
        self,
        me: NodeInfo,
        edges: LinkFactory,
        round_now: Callable[[], int],
        report: Callable[[LinkEvent], None],
    ) -> None:
        self.me = me
        self.links: dict[str, Link] = {}
        self.traffic: dict[str, Traffic] = {}
        self.dialled: dict[str, str] = {}
        self.enough = MAX_LINKS
        self.essential: Container[str] | None = None
        self._edges = edges
        self._round_now = round_now
        self._report = report
        self._leaving: str | None = None
        self._meter = WireMeter()
        self._quarantine = PeerBans()
        self._changed = asyncio.Condition()

    def send(self, neighbour: str, message: LinkMessage) -> None:
        """Hand a message to a neighbour's link; dropped if there is none, it will be sent anew when one comes up."""
        if neighbour in self.links:
            self.links[neighbour].send(message)

    def report(self, report: LinkEvent) -> None:
        """Tell the owner what happened."""
        self._report(report)

    async def send_hello(self, stream: Stream, address: str = "") -> None:
        """Say hello; the one who dialled ``address`` does so first."""
        essential = bool(address) and (self.essential is None or address in self.essential)
        await stream.write(self.me.hello(self._round_now(), essential=essential))

    async def refuse(self, stream: Stream, address: str, error: PeerError) -> None:
        """Tell a peer, and the owner, why the conversation ends."""
        self._report(PeerRefused(address, error.reason, str(error)))
        await stream.write(refusal(error))

    async def accept(self, stream: Stream, remote: tuple[str, int]) -> None:
        """Hold a conversation that somebody else opened, from its first frame to its end."""
        address = f"{remote[0]}:{remote[1]}"
        try:
            neighbour, their_round = await self._read_hello(stream)
            if self._leaving is not None:
                raise PeerError("leaving", self._leaving)
            self._check_room(neighbour)
            await self.send_hello(stream)
            self._check_room(neighbour)  # others may have come meanwhile
            self._check_duplicate(neighbour, we_dialled=False)
            await self._converse(stream, neighbour, their_round, we_dialled=False, remote=remote)
        except PeerError as error:
            await self.refuse(stream, address, error)

    async def connect(self, stream: Stream, address: str, remote: tuple[str, int]) -> None:
        """Hold a conversation that this node opened, to its end.

        Raises ``PeerError`` if the other side refuses, does not match or breaks the protocol.
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
        """Return when no link to the neighbour at this address is open, whoever dialled it, and it is not kept out;
        never once we leave.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._leaving is None and self.dialled.get(address) not in self.links)
        await asyncio.sleep(self._quarantine.seconds_left(self.dialled.get(address, ""), _now()))

    def ban_reason(self, neighbour: str) -> str:
        """Return for which offence a neighbour is kept out at present; empty if it is not."""
        return self._quarantine.reason(neighbour, _now())

    def report_violation(self, neighbour: str, reason: str, explanation: str) -> None:
        """A neighbour broke a rule that the owner keeps watch over: part with it for a while."""
        if self._quarantine.offended(neighbour, reason, _now()) and neighbour in self.links:
            self.links[neighbour].close(reason, explanation)

    def measure_traffic(self) -> None:
        """Ask the kernel what every open link, and every other connection, has cost so far."""
        self._meter.read({link.remote: link.traffic for link in self.links.values()}, self._traffic_of(OTHERS))

    def leave(self, message: str) -> None:
        """Say goodbye on all links, after what still waits there, and open no more."""
        self._leaving = message
        for link in self.links.values():
            link.close("leaving", message)

    def disconnect(self, neighbour: str) -> None:
        """End the link to a neighbour that this node has more of than it needs."""
        self.links[neighbour].close("surplus", "has neighbours enough, and no more need of this link")

    async def wait_until_linked(self, count: int) -> None:
        """Return when at least ``count`` links are open."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.links) >= count)

    async def wait_until_no_links(self) -> None:
        """Return when no link is open."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.links)

    def _traffic_of(self, neighbour: str) -> Traffic:
        """Return a neighbour's account; beyond ``MAX_ACCOUNTS`` newcomers share one: strangers cannot fill memory."""
        key = neighbour if neighbour in self.traffic or len(self.traffic) < MAX_ACCOUNTS else OTHERS
        return self.traffic.setdefault(key, Traffic())

    async def _read_hello(self, stream: Stream) -> tuple[NodeInfo, int]:
        neighbour, their_round = read_hello(await read_frame(stream, HELLO_SECONDS))
        check_match(self.me, neighbour)
        if reason := self.ban_reason(neighbour.key):
            raise PeerError("quarantined", f"is kept out for a while, because of {reason}")
        return neighbour, their_round

    def _check_room(self, neighbour: NodeInfo) -> None:
        if neighbour.key in self.links:
            return
        if len(self.links) >= MAX_LINKS:
            raise PeerError("full", f"has {MAX_LINKS} neighbours already and takes no more")
        if len(self.links) >= self.enough and not neighbour.essential:
            raise PeerError("enough", f"has {self.enough} neighbours and takes more only to hold the network together")

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
        link = self._edges.open_link(stream, neighbour, traffic, former, we_dialled=we_dialled, remote=remote)
        if former is not None:
            self._replace_link(former, at_once=we_dialled)
            self.measure_traffic()
        self.links[neighbour.key] = link
        self._report(LinkUp(neighbour, their_round, address or neighbour.advertise))
        why = "the connection was lost"
        try:
            await self._announce_change()
            why = await link.run(lambda message: self._report(_arrival(neighbour, message)))
        except PeerError as error:
            why = str(error)
            self._quarantine.offended(neighbour.key, error.reason, _now())
            raise
        finally:
            await self._remove(link, why)

    def _replace_link(self, former: Link, *, at_once: bool) -> None:
        """End a link that another one replaces. Who dialled the new one knows that it is open on both sides; the other
        side waits a moment, or its goodbye on the old link could overtake its hello on the new one.
        """
        farewell = ("duplicate", "another link to the same neighbour takes over")
        asyncio.get_running_loop().call_later(0 if at_once else TAKE_OVER_SECONDS, former.close, *farewell)

    async def _remove(self, link: Link, why: str) -> None:
        if self.links.get(link.neighbour.key) is not link:
            return
        self.measure_traffic()
        del self.links[link.neighbour.key]
        self._edges.remember(link)
        self._report(LinkDown(link.neighbour, why))
        await self._announce_change()

    async def _announce_change(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _now() -> float:
    return time.monotonic()


def _arrival(who: NodeInfo, what: LinkMessage) -> LinkEvent:
    match what:
        case ExchangeState():
            return ExchangeStateArrived(who, what)
        case IntervalRequest():
            return IntervalRequested(who, what)
        case MembershipUpdate():
            return MembershipUpdateArrived(who, what)
        case _:
            return MaskArrived(who, what)
