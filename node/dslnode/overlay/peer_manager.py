"""Maintains a node's links: floods membership records, chooses whom to be linked with, and drops surplus links."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from dslnode.addresses import announceable, host_and_port, ip_address_of
from dslnode.overlay.announced_dials import AnnouncedDials
from dslnode.overlay.record_forwarding import RecordForwarding
from dslnode.overlay.split_alert import SplitAlert
from dslnode.protocol.membership import (
    MAX_MEMBERS,
    MAX_PROVEN,
    MemberRecord,
    MembershipUpdate,
    MemberTable,
    PeerChoice,
    ReachabilityView,
    address_proof,
    choose_peers,
)
from dslnode.security.channels import ChannelProvider
from dslnode.telemetry.logs import Logger
from dslnode.transport import link_events
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.dialer import keep_dialing
from dslnode.transport.handshake import NodeInfo
from dslnode.transport.link import Link
from dslnode.transport.member_frames import is_dialable

TICK_SECONDS = 1.0
DEBOUNCE_SECONDS = 0.1
"""How long a change waits for more of them before all are sent together."""
MAX_SNAPSHOT_MEMBERS = 200


class PeerManager:
    """Manages links: ``peers`` are always dialled; of announced nodes as many as ``limit`` allows, 0 for none.

    ``sign`` signs this node's own record.
    """

    def __init__(
        self,
        network: ConnectionManager,
        peers: Iterable[str],
        limit: int,
        *,
        channels: ChannelProvider,
        log: Logger,
        registry: CollectorRegistry,
        sign: Callable[[MemberRecord], MemberRecord] = lambda record: record,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        me = network.me
        self.members = MemberTable(MemberRecord(me.key, 1, me.name, announceable(me.advertise)))
        self.view = ReachabilityView(frozenset({me.key}))
        self._network = network
        self._peers = tuple(peers)
        self._limit = limit
        self._channels = channels
        self._sign = sign
        self._certificate = b""
        self._clock = clock
        self._jitter = random.Random(me.incarnation)
        self._met: dict[str, str] = {}  # the address at which this node has met another, by key
        self._forwarding: dict[str, RecordForwarding] = {}
        self._changed = asyncio.Event()
        network.max_wanted_links = limit
        self._announced = AnnouncedDials(
            network, self.members, self._peers, limit, channels=channels, jitter=self._jitter
        )
        self._split_alert = SplitAlert(log, registry)

    def jobs(self) -> list[Coroutine[None, None, None]]:
        """Return the coroutines that run for as long as the node does."""
        dialers = (keep_dialing(self._network, peer, self._jitter, self._channels) for peer in self._peers)
        return [self._run(), *dialers]

    def restore(self, metadata: Mapping[str, Any]) -> None:
        """Add the members of a snapshot's metadata."""
        for member in (*metadata["neighbours"], *metadata.get("members", ())):
            if member["advertise"]:
                self.members.remember(member["node_id"], member["name"], member["advertise"])
                if member.get("met"):
                    self._met[member["node_id"]] = member["advertise"]

    def snapshot(self) -> list[dict[str, str | bool]]:
        """Return the members to keep over a restart: nodes that can be dialled, reachable ones first."""
        dialable = [member for member in self.members.others.values() if member.address]
        dialable.sort(key=lambda member: member.key not in self.view.reachable)
        return [
            {
                "node_id": member.key,
                "name": member.name,
                "advertise": member.address,
                "met": self._met.get(member.key) == member.address,
            }
            for member in dialable[:MAX_SNAPSHOT_MEMBERS]
        ]

    def on_link_event(self, event: link_events.LinkEvent) -> None:
        """Update members and dial states from an event of a link."""
        match event:
            case link_events.LinkUp(neighbour, _, address):
                self._link_up(neighbour, address)
            case link_events.MembershipUpdateArrived(neighbour, update):
                self._records_arrived(neighbour, update)
            case link_events.DialFailed(address) | link_events.PeerRefused(address):
                self._announced.mark_failing(address)
            case link_events.LinkDown():
                pass
            case _:
                return
        self._changed.set()

    def _link_up(self, neighbour: NodeInfo, dialled: str) -> None:
        """Note a neighbour, and whether it was met where it says that it can be dialled."""
        self._forwarding_to(neighbour.key).link_opened()
        announced = neighbour.advertise if is_dialable(neighbour.advertise) else ""
        self.members.remember(neighbour.key, neighbour.name, announced)
        link = self._network.links.get(neighbour.key)
        if announced and link is not None and _is_met(announced, link, dialled):
            self._met.pop(neighbour.key, None)
            self._met[neighbour.key] = announced
        self._announced.link_up(neighbour.key)

    def _records_arrived(self, neighbour: NodeInfo, update: MembershipUpdate) -> None:
        self.members.merge(update.records)
        forwarding = self._forwarding_to(neighbour.key)
        for record in update.records:
            if record.key in self.members.others:
                forwarding.arrived(record)

    def _forwarding_to(self, key: str) -> RecordForwarding:
        """Return what a neighbour has been sent. Beyond ``MAX_MEMBERS`` neighbours, the first one is forgotten."""
        if key not in self._forwarding and len(self._forwarding) >= MAX_MEMBERS:
            del self._forwarding[next(iter(self._forwarding))]
        return self._forwarding.setdefault(key, RecordForwarding())

    def on_discovered(self, record: MemberRecord) -> None:
        """Add a node that announced itself on the local network: only its address is used."""
        self.members.remember(record.key, record.name, record.address)
        self._changed.set()

    def leave(self) -> None:
        """Tell the neighbours that this node stops."""
        self.members.leave()
        farewell = MembershipUpdate((self._sign(self.members.me),))
        for key, link in self._network.links.items():
            if link.neighbour.members:
                self._network.send(key, farewell)
        self._announced.cancel()

    async def _run(self) -> None:
        while True:
            self._tick()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._changed.wait()
                    await asyncio.sleep(DEBOUNCE_SECONDS)
            self._changed.clear()

    def _tick(self) -> None:
        now = self._clock()
        me = self._announce_self()
        self.view = self.members.view(now)
        self._send_updates(me, now)
        choice = self._choose(now)
        self._announced.dial_chosen(choice, self.view.reachable, now)
        self._drop_surplus_links(choice)
        self._split_alert.update(self.view, self.members.others, now)

    def _announce_self(self) -> MemberRecord:
        """Announce links, proven addresses and a renewed certificate where they changed; return this node's record."""
        self._met = {key: address for key, address in self._met.items() if key in self.members.others}
        met = sorted(self._met.items(), key=lambda item: item[0] in self._network.links)
        proven = frozenset(address_proof(key, address) for key, address in met[-MAX_PROVEN:])
        self.members.set_links(frozenset(self._network.links), proven)
        signed = self._sign(self.members.me)
        if self._certificate not in {b"", signed.certificate}:
            self.members.renew()
            signed = self._sign(self.members.me)
        self._certificate = signed.certificate
        return signed

    def _send_updates(self, me: MemberRecord, now: float) -> None:
        """Send each neighbour that has read the last update what it lacks."""
        for key, link in self._network.links.items():
            forwarding = self._forwarding_to(key)
            if not link.neighbour.members or link.update_waits:
                continue
            lacking = self.members.records_newer_than(forwarding.versions)
            batch = forwarding.batch([me if record.key == me.key else record for record in lacking], now)
            if batch:
                self._network.send(key, MembershipUpdate(batch))
            if batch and len(batch) < len(lacking):
                self._changed.set()

    def _choose(self, now: float) -> PeerChoice:
        backed_off = self._announced.backed_off(now)
        candidates = {
            key
            for key in self.view.reachable & self.members.others.keys() - backed_off
            if self.members.others[key].address
        }
        always = {self._network.dialled[peer] for peer in self._peers if peer in self._network.dialled}
        return choose_peers(self._network.me.key, candidates, always, self._limit)

    def _drop_surplus_links(self, choice: PeerChoice) -> None:
        surplus = len(self._network.links) - self._limit
        wanted = choice.essential | choice.others
        ours = [key for key, link in self._network.links.items() if link.we_dialled and key not in wanted]
        for key in sorted(ours)[: max(0, surplus)] if self._limit else ():
            self._network.disconnect(key)


def _is_met(announced: str, link: Link, dialled: str) -> bool:
    """Return whether a link proves the address that its neighbour announces: it was dialled there, or came from there.

    A host that connects can be met at another port of its own; it names nobody else then.
    """
    if link.we_dialled:
        return dialled == announced
    host = ip_address_of(host_and_port(announced)[0])
    return host is not None and host == ip_address_of(link.remote[0])
