"""Keeps a node among its neighbours: passes on who is in the network, dials whom it chose, and misses who is gone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from dslnode.protocol.membership import (
    MAX_MEMBERS,
    MAX_RECORDS,
    MemberRecord,
    MembershipUpdate,
    MemberTable,
    PeerChoice,
    ReachabilityView,
    choose_peers,
)
from dslnode.security.channels import ChannelProvider
from dslnode.telemetry.logs import Logger
from dslnode.transport import link_events
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.dialer import ExponentialBackoff, dial, keep_dialing
from dslnode.transport.member_frames import is_dialable

TICK_SECONDS = 1.0
GATHERING_SECONDS = 0.1
"""For which news waits for more to come."""
GRACE_SECONDS = 10.0
"""After which a node that cannot be reached any more is spoken of."""
LONGEST_PAUSE = 15.0
MAX_DIALS = 4
"""Learned addresses that are dialled at the same time."""
REMEMBERED = 200
NAMED = 5


@dataclass
class DialState:
    """How dialling one learned node goes: not again before ``due``; ``failing`` until a link comes up."""

    pauses: ExponentialBackoff
    due: float = 0.0
    failing: bool = False
    essential: bool = False


class PeerManager:
    """``peers`` are dialled for ever; of those that neighbours tell of, as many as ``limit`` allows, 0 for none."""

    def __init__(
        self,
        network: ConnectionManager,
        peers: Iterable[str],
        limit: int,
        *,
        channels: ChannelProvider,
        log: Logger,
        registry: CollectorRegistry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        me = network.me
        self.roster = MemberTable(MemberRecord(me.key, 1, me.name, me.advertise))
        self.outlook = ReachabilityView(frozenset({me.key}))
        self._network = network
        self._peers = tuple(peers)
        self._limit = limit
        self._channels = channels
        self._log = log
        self._clock = clock
        self._jitter = random.Random(me.incarnation)
        self._attempts: dict[str, DialState] = {}
        self._dials: dict[str, asyncio.Task[bool]] = {}
        self._told: dict[str, dict[str, int]] = {}
        self._changed = asyncio.Event()
        self._began_missing: float | None = None
        self._warned: frozenset[str] = frozenset()
        self._next_probe = 0.0
        network.max_wanted_links = limit
        network.essential_addresses = frozenset(self._peers)
        self._components = Gauge(
            "dslnode_components", "Parts that the nodes known of fall into; 1: all can be reached.", registry=registry
        )
        self._members = Gauge(
            "dslnode_members", "Nodes of the network, this one included, by state.", ["state"], registry=registry
        )

    def jobs(self) -> list[Coroutine[None, None, None]]:
        """Return what runs for as long as the node does."""
        diallers = (keep_dialing(self._network, peer, self._jitter, self._channels) for peer in self._peers)
        return [self._keep(), *diallers]

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take in whom the node knew in its earlier life."""
        for known in (*facts["neighbours"], *facts.get("members", ())):
            if known["advertise"]:
                self.roster.remember(known["node_id"], known["name"], known["advertise"])

    def known(self) -> list[dict[str, str]]:
        """Return whom to remember over a restart: nodes that can be dialled, those in reach first."""
        dialable = [one for one in self.roster.others.values() if one.address]
        dialable.sort(key=lambda one: one.key not in self.outlook.reachable)
        return [{"node_id": one.key, "name": one.name, "advertise": one.address} for one in dialable[:REMEMBERED]]

    def notice(self, report: link_events.LinkEvent) -> None:
        """Take in what happened to links."""
        match report:
            case link_events.LinkUp(neighbour):
                self._told[neighbour.key] = {}
                address = neighbour.advertise if is_dialable(neighbour.advertise) else ""
                self.roster.remember(neighbour.key, neighbour.name, address)
                if neighbour.key in self._attempts:
                    self._attempts[neighbour.key].pauses.reset()
                    self._attempts[neighbour.key].failing = False
            case link_events.MembershipUpdateArrived(neighbour, tidings):
                told = self._told.setdefault(neighbour.key, {})
                self.roster.merge(tidings.records)
                known = [one for one in tidings.records if one.key in self.roster.others]
                told.update({one.key: max(one.version, told.get(one.key, 0)) for one in known})
            case link_events.DialFailed(address) | link_events.PeerRefused(address):
                self._failed(address)
            case link_events.LinkDown():
                pass
            case _:
                return
        self._changed.set()

    def discovered(self, record: MemberRecord) -> None:
        """Take in a node that announced itself nearby: it may be dialled, and is believed nothing else."""
        self.roster.remember(record.key, record.name, record.address)
        self._changed.set()

    def leave(self) -> None:
        """Tell the neighbours that this node ends in good order."""
        self.roster.leave()
        self._tell()
        for task in self._dials.values():
            task.cancel()

    async def _keep(self) -> None:
        while True:
            self._attend()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._changed.wait()
                    await asyncio.sleep(GATHERING_SECONDS)
            self._changed.clear()

    def _attend(self) -> None:
        now = self._clock()
        self.roster.set_links(frozenset(self._network.links))
        self.outlook = self.roster.view(now)
        self._tell()
        choice = self._choose(now)
        self._dial_chosen(choice, now)
        self._part_with_surplus(choice)
        self._judge(now)

    def _tell(self) -> None:
        for key, link in self._network.links.items():
            told = self._told.setdefault(key, {})
            news = self.roster.records_newer_than(told) if link.neighbour.members else []
            told.update({record.key: record.version for record in news})
            for start in range(0, len(news), MAX_RECORDS):
                self._network.send(key, MembershipUpdate(tuple(news[start : start + MAX_RECORDS])))
            if len(told) > 2 * MAX_MEMBERS:  # of nodes forgotten meanwhile
                self._told[key] = {}
        self._told = {key: told for key, told in self._told.items() if key in self._network.links}

    def _choose(self, now: float) -> PeerChoice:
        passed_by = {key for key, one in self._attempts.items() if one.failing and now < one.due}
        candidates = {
            key
            for key in self.outlook.reachable & self.roster.others.keys() - passed_by
            if self.roster.others[key].address
        }
        always = {self._network.dialled[peer] for peer in self._peers if peer in self._network.dialled}
        return choose_peers(self._network.me.key, candidates, always, self._limit)

    def _dial_chosen(self, choice: PeerChoice, now: float) -> None:
        self._dials = {address: task for address, task in self._dials.items() if not task.done()}
        others = self.roster.others
        self._attempts = {key: one for key, one in self._attempts.items() if key in others}
        for key in (*sorted(choice.essential & others.keys()), *(self._strays(now) if self._limit else ())):
            self._dial(key, now, essential=True)
        room = max(0, self._limit - len(self._network.links))
        for key in sorted(choice.others - self._network.links.keys())[:room]:
            self._dial(key, now, essential=False)
        needed = {others[key].address for key, one in self._attempts.items() if one.essential}
        self._network.essential_addresses = needed.union(self._peers)

    def _strays(self, now: float) -> list[str]:
        """Return whom to look for beyond what can be reached: one in a tick, or a few while this node is alone."""
        if now < self._next_probe:
            return []
        self._next_probe = now + TICK_SECONDS
        lived_in = {self.roster.others[key].address for key in self.outlook.reachable & self.roster.others.keys()}
        gone = [
            key
            for key, one in self.roster.others.items()
            if key not in self.outlook.reachable and one.address and one.address not in lived_in.union(self._peers)
        ]
        gone.sort(key=lambda key: self._attempts[key].due if key in self._attempts else 0.0)
        return gone[: 1 if self._network.links else MAX_DIALS]

    def _dial(self, key: str, now: float, *, essential: bool) -> None:
        address = self.roster.others[key].address
        attempts = self._attempts.setdefault(key, DialState(ExponentialBackoff(self._jitter, LONGEST_PAUSE)))
        busy = [one for one in self._dials if self._network.dialled.get(one) not in self._network.links]
        idle = key not in self._network.links and address not in self._dials and address not in self._peers
        if not address or not idle or now < attempts.due or len(busy) >= MAX_DIALS:
            return
        attempts.due, attempts.essential = now + attempts.pauses.next_pause(), essential
        self._dials[address] = asyncio.create_task(dial(self._network, address, self._channels))

    def _part_with_surplus(self, choice: PeerChoice) -> None:
        surplus = len(self._network.links) - self._limit
        wanted = choice.essential | choice.others
        ours = [key for key, link in self._network.links.items() if link.we_dialled and key not in wanted]
        for key in sorted(ours)[: max(0, surplus)] if self._limit else ():
            self._network.disconnect(key)

    def _failed(self, address: str) -> None:
        for key, attempts in self._attempts.items():
            if key in self.roster.others and self.roster.others[key].address == address:
                attempts.failing = True

    def _judge(self, now: float) -> None:
        reachable, missing = len(self.outlook.reachable), self.outlook.missing
        self._components.set(self.outlook.components)
        self._members.labels("reachable").set(reachable)
        self._members.labels("known").set(reachable + len(missing))
        if not missing:
            if self._warned:
                self._log.info("network is whole again", reachable=reachable)
            self._began_missing, self._warned = None, frozenset()
            return
        self._began_missing = now if self._began_missing is None else self._began_missing
        if now - self._began_missing >= GRACE_SECONDS and missing - self._warned:
            self._warned |= missing
            names = ",".join(sorted(self.roster.others[key].name for key in missing)[:NAMED])
            parts = self.outlook.components
            self._log.warning(
                "network in parts", reachable=reachable, known=reachable + len(missing), parts=parts, missing=names
            )
