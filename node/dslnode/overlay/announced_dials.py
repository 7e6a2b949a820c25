"""Dials nodes at the addresses that they announce, with pauses that grow while they are not met."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from dslnode.protocol.membership import MemberTable, PeerChoice, successors
from dslnode.security.channels import ChannelProvider
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.dialer import ExponentialBackoff, dial

PROBE_SECONDS = 1.0
"""How long after one probe of lost members the next may begin."""
MAX_BACKOFF_SECONDS = 15.0
UNPROVEN_PAUSE_SECONDS, MAX_UNPROVEN_PAUSE_SECONDS = 15.0, 900.0
"""First and longest pause between two dials of an address at which nobody has met the node that announces it."""
MAX_DIALS = 4
"""Upper bound of concurrent dials to addresses that neighbours announced."""


@dataclass
class DialState:
    """Dialling of one announced node: no attempt before ``next_attempt`` (clock); ``failing`` until a link comes up."""

    backoff: ExponentialBackoff
    unproven_backoff: ExponentialBackoff
    next_attempt: float = 0.0
    failing: bool = False
    essential: bool = False


class AnnouncedDials:
    """Dials as many announced nodes as ``limit`` allows, 0 for none; ``peers`` are dialled by others, all the time.

    An address that nobody has proven is dialled by the two nodes alone that precede its node on the ring of node ids,
    with long pauses. So a lie costs the address that it names a few connections per minute, from the whole network.
    """

    def __init__(
        self,
        network: ConnectionManager,
        members: MemberTable,
        peers: Iterable[str],
        limit: int,
        *,
        channels: ChannelProvider,
        jitter: random.Random,
    ) -> None:
        self._network = network
        self._members = members
        self._peers = tuple(peers)
        self._limit = limit
        self._channels = channels
        self._jitter = jitter
        self._dial_states: dict[str, DialState] = {}
        self._dials: dict[str, asyncio.Task[bool]] = {}
        self._next_probe = 0.0
        network.essential_addresses = frozenset(self._peers)

    def backed_off(self, now: float) -> set[str]:
        """Return the keys of nodes that failed and whose pause is not over."""
        return {key for key, state in self._dial_states.items() if state.failing and now < state.next_attempt}

    def link_up(self, key: str) -> None:
        """Note that a node was met: its pauses begin anew."""
        if key in self._dial_states:
            state = self._dial_states[key]
            state.backoff.reset()
            state.unproven_backoff.reset()
            state.failing = False

    def mark_failing(self, address: str) -> None:
        """Note that an address could not be dialled, or that who is there was refused."""
        for key, state in self._dial_states.items():
            if key in self._members.others and self._members.others[key].address == address:
                state.failing = True

    def dial_chosen(self, choice: PeerChoice, reachable: frozenset[str], now: float) -> None:
        """Begin to dial chosen and lost nodes whose pauses are over; ``reachable`` are the nodes in reach, by key."""
        self._dials = {address: task for address, task in self._dials.items() if not task.done()}
        others = self._members.others
        self._dial_states = {key: state for key, state in self._dial_states.items() if key in others}
        for key in (
            *sorted(choice.essential & others.keys()),
            *(self._lost_members(reachable, now) if self._limit else ()),
        ):
            self._dial(key, now, essential=True)
        free = max(0, self._limit - len(self._network.links))
        proven = {key for key in choice.others - self._network.links.keys() if self._members.is_proven(key)}
        for key in sorted(proven)[:free]:
            self._dial(key, now, essential=False)
        essential = {others[key].address for key, state in self._dial_states.items() if state.essential}
        self._network.essential_addresses = essential.union(self._peers)

    def cancel(self) -> None:
        """End the dials that are under way."""
        for task in self._dials.values():
            task.cancel()

    def _lost_members(self, reachable: frozenset[str], now: float) -> list[str]:
        """Return unreachable members to dial now: one per second, or a few while this node has no link.

        One whose address is not proven is left to the nodes that precede it on the ring, unless there is no link.
        """
        if now < self._next_probe:
            return []
        self._next_probe = now + PROBE_SECONDS
        reachable_addresses = {self._members.others[key].address for key in reachable & self._members.others.keys()}
        lost = [
            key
            for key, member in self._members.others.items()
            if key not in reachable and member.address and member.address not in reachable_addresses.union(self._peers)
        ]
        lost.sort(key=lambda key: self._dial_states[key].next_attempt if key in self._dial_states else 0.0)
        if not self._network.links:
            return lost[:MAX_DIALS]
        dialable = {key for key, member in self._members.others.items() if member.address}
        own = successors(self._network.me.key, dialable)
        return list(islice((key for key in lost if key in own or self._members.is_proven(key)), 1))

    def _dial(self, key: str, now: float, *, essential: bool) -> None:
        address = self._members.others[key].address
        state = self._dial_states.setdefault(key, self._new_dial_state())
        dialling = [each for each in self._dials if self._network.dialled.get(each) not in self._network.links]
        idle = key not in self._network.links and address not in self._dials and address not in self._peers
        if not address or not idle or now < state.next_attempt or len(dialling) >= MAX_DIALS:
            return
        pauses = state.backoff if self._members.is_proven(key) else state.unproven_backoff
        state.next_attempt, state.essential = now + pauses.next_pause(), essential
        self._dials[address] = asyncio.create_task(dial(self._network, address, self._channels))

    def _new_dial_state(self) -> DialState:
        return DialState(
            ExponentialBackoff(self._jitter, MAX_BACKOFF_SECONDS),
            ExponentialBackoff(self._jitter, MAX_UNPROVEN_PAUSE_SECONDS, UNPROVEN_PAUSE_SECONDS),
        )
