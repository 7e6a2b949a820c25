"""Maintains a node's links: floods membership records, dials chosen and lost peers, and warns of a split network."""

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
DEBOUNCE_SECONDS = 0.1
"""How long a change waits for more of them before all are sent together."""
SPLIT_GRACE_SECONDS = 10.0
"""How long nodes may be out of reach before the log warns of a split network."""
MAX_BACKOFF_SECONDS = 15.0
MAX_DIALS = 4
"""Upper bound of concurrent dials to addresses that neighbours announced."""
MAX_SNAPSHOT_MEMBERS = 200
MAX_NAMES_LOGGED = 5


@dataclass
class DialState:
    """Dialling of one announced node: no attempt before ``next_attempt`` (clock); ``failing`` until a link comes up."""

    backoff: ExponentialBackoff
    next_attempt: float = 0.0
    failing: bool = False
    essential: bool = False


class PeerManager:
    """Manages links: ``peers`` are always dialled; of announced nodes as many as ``limit`` allows, 0 for none."""

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
        self.members = MemberTable(MemberRecord(me.key, 1, me.name, me.advertise))
        self.view = ReachabilityView(frozenset({me.key}))
        self._network = network
        self._peers = tuple(peers)
        self._limit = limit
        self._channels = channels
        self._log = log
        self._clock = clock
        self._jitter = random.Random(me.incarnation)
        self._dial_states: dict[str, DialState] = {}
        self._dials: dict[str, asyncio.Task[bool]] = {}
        self._sent_versions: dict[str, dict[str, int]] = {}
        self._changed = asyncio.Event()
        self._split_began: float | None = None
        self._reported_missing: frozenset[str] = frozenset()
        self._next_probe = 0.0
        network.max_wanted_links = limit
        network.essential_addresses = frozenset(self._peers)
        self._components_metric = Gauge(
            "dslnode_components", "Connected components of the known network; 1: all can be reached.", registry=registry
        )
        self._members_metric = Gauge(
            "dslnode_members", "Nodes of the network, this one included, by state.", ["state"], registry=registry
        )

    def jobs(self) -> list[Coroutine[None, None, None]]:
        """Return the coroutines that run for as long as the node does."""
        dialers = (keep_dialing(self._network, peer, self._jitter, self._channels) for peer in self._peers)
        return [self._run(), *dialers]

    def restore(self, metadata: Mapping[str, Any]) -> None:
        """Add the members of a snapshot's metadata."""
        for member in (*metadata["neighbours"], *metadata.get("members", ())):
            if member["advertise"]:
                self.members.remember(member["node_id"], member["name"], member["advertise"])

    def snapshot(self) -> list[dict[str, str]]:
        """Return the members to keep over a restart: nodes that can be dialled, reachable ones first."""
        dialable = [member for member in self.members.others.values() if member.address]
        dialable.sort(key=lambda member: member.key not in self.view.reachable)
        return [
            {"node_id": member.key, "name": member.name, "advertise": member.address}
            for member in dialable[:MAX_SNAPSHOT_MEMBERS]
        ]

    def on_link_event(self, event: link_events.LinkEvent) -> None:
        """Update members and dial states from an event of a link."""
        match event:
            case link_events.LinkUp(neighbour):
                self._sent_versions[neighbour.key] = {}
                address = neighbour.advertise if is_dialable(neighbour.advertise) else ""
                self.members.remember(neighbour.key, neighbour.name, address)
                if neighbour.key in self._dial_states:
                    self._dial_states[neighbour.key].backoff.reset()
                    self._dial_states[neighbour.key].failing = False
            case link_events.MembershipUpdateArrived(neighbour, update):
                versions = self._sent_versions.setdefault(neighbour.key, {})
                self.members.merge(update.records)
                kept = [record for record in update.records if record.key in self.members.others]
                versions.update({record.key: max(record.version, versions.get(record.key, 0)) for record in kept})
            case link_events.DialFailed(address) | link_events.PeerRefused(address):
                self._mark_failing(address)
            case link_events.LinkDown():
                pass
            case _:
                return
        self._changed.set()

    def on_discovered(self, record: MemberRecord) -> None:
        """Add a node that announced itself on the local network: only its address is used."""
        self.members.remember(record.key, record.name, record.address)
        self._changed.set()

    def leave(self) -> None:
        """Tell the neighbours that this node stops."""
        self.members.leave()
        self._send_updates()
        for task in self._dials.values():
            task.cancel()

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
        self.members.set_links(frozenset(self._network.links))
        self.view = self.members.view(now)
        self._send_updates()
        choice = self._choose(now)
        self._dial_chosen(choice, now)
        self._drop_surplus_links(choice)
        self._update_alerts(now)

    def _send_updates(self) -> None:
        for key, link in self._network.links.items():
            versions = self._sent_versions.setdefault(key, {})
            news = self.members.records_newer_than(versions) if link.neighbour.members else []
            versions.update({record.key: record.version for record in news})
            for start in range(0, len(news), MAX_RECORDS):
                self._network.send(key, MembershipUpdate(tuple(news[start : start + MAX_RECORDS])))
            if len(versions) > 2 * MAX_MEMBERS:  # most are of nodes that were forgotten meanwhile
                self._sent_versions[key] = {}
        self._sent_versions = {
            key: versions for key, versions in self._sent_versions.items() if key in self._network.links
        }

    def _choose(self, now: float) -> PeerChoice:
        backed_off = {key for key, state in self._dial_states.items() if state.failing and now < state.next_attempt}
        candidates = {
            key
            for key in self.view.reachable & self.members.others.keys() - backed_off
            if self.members.others[key].address
        }
        always = {self._network.dialled[peer] for peer in self._peers if peer in self._network.dialled}
        return choose_peers(self._network.me.key, candidates, always, self._limit)

    def _dial_chosen(self, choice: PeerChoice, now: float) -> None:
        self._dials = {address: task for address, task in self._dials.items() if not task.done()}
        others = self.members.others
        self._dial_states = {key: state for key, state in self._dial_states.items() if key in others}
        for key in (*sorted(choice.essential & others.keys()), *(self._lost_members(now) if self._limit else ())):
            self._dial(key, now, essential=True)
        free = max(0, self._limit - len(self._network.links))
        for key in sorted(choice.others - self._network.links.keys())[:free]:
            self._dial(key, now, essential=False)
        essential = {others[key].address for key, state in self._dial_states.items() if state.essential}
        self._network.essential_addresses = essential.union(self._peers)

    def _lost_members(self, now: float) -> list[str]:
        """Return unreachable members to dial now: one per tick, or a few while this node has no link."""
        if now < self._next_probe:
            return []
        self._next_probe = now + TICK_SECONDS
        reachable_addresses = {
            self.members.others[key].address for key in self.view.reachable & self.members.others.keys()
        }
        lost = [
            key
            for key, member in self.members.others.items()
            if key not in self.view.reachable
            and member.address
            and member.address not in reachable_addresses.union(self._peers)
        ]
        lost.sort(key=lambda key: self._dial_states[key].next_attempt if key in self._dial_states else 0.0)
        return lost[: 1 if self._network.links else MAX_DIALS]

    def _dial(self, key: str, now: float, *, essential: bool) -> None:
        address = self.members.others[key].address
        state = self._dial_states.setdefault(key, DialState(ExponentialBackoff(self._jitter, MAX_BACKOFF_SECONDS)))
        dialling = [each for each in self._dials if self._network.dialled.get(each) not in self._network.links]
        idle = key not in self._network.links and address not in self._dials and address not in self._peers
        if not address or not idle or now < state.next_attempt or len(dialling) >= MAX_DIALS:
            return
        state.next_attempt, state.essential = now + state.backoff.next_pause(), essential
        self._dials[address] = asyncio.create_task(dial(self._network, address, self._channels))

    def _drop_surplus_links(self, choice: PeerChoice) -> None:
        surplus = len(self._network.links) - self._limit
        wanted = choice.essential | choice.others
        ours = [key for key, link in self._network.links.items() if link.we_dialled and key not in wanted]
        for key in sorted(ours)[: max(0, surplus)] if self._limit else ():
            self._network.disconnect(key)

    def _mark_failing(self, address: str) -> None:
        for key, state in self._dial_states.items():
            if key in self.members.others and self.members.others[key].address == address:
                state.failing = True

    def _update_alerts(self, now: float) -> None:
        reachable, missing = len(self.view.reachable), self.view.missing
        self._components_metric.set(self.view.components)
        self._members_metric.labels("reachable").set(reachable)
        self._members_metric.labels("known").set(reachable + len(missing))
        if not missing:
            if self._reported_missing:
                self._log.info("network whole again", reachable=reachable)
            self._split_began, self._reported_missing = None, frozenset()
            return
        self._split_began = now if self._split_began is None else self._split_began
        if now - self._split_began >= SPLIT_GRACE_SECONDS and missing - self._reported_missing:
            self._reported_missing |= missing
            names = ",".join(sorted(self.members.others[key].name for key in missing)[:MAX_NAMES_LOGGED])
            components = self.view.components
            self._log.warning(
                "network split",
                reachable=reachable,
                known=reachable + len(missing),
                components=components,
                missing=names,
            )
