"""Who is in the network and whom to keep a link with: records passed on, what can be reached, a choice. Pure values.

Every node numbers what it says of itself, and neighbours pass the newest on (link-state flooding, as in OSPF, RFC
2328): nobody compares clocks. What can be reached follows from these records alone: a node that cannot be reached does
not count as a witness of its own links.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

MAX_RECORDS = 32
"""Records in one frame."""
MAX_VERSION = 2**31
MAX_MEMBERS = 1_000
SUCCESSORS = 2
"""Next nodes on the ring of node ids that a node is always linked with: one may die and the ring holds."""
MISSED_SECONDS = 86_400.0
"""Seconds for which a node that cannot be reached any more is missed."""


@dataclass(frozen=True)
class MemberRecord:
    """What a node says of itself; ``key`` is its node id in hex. Version 0: remembered from an earlier life."""

    key: str
    version: int
    name: str
    address: str  # HOST:PORT, or empty if it cannot be dialled
    links: frozenset[str] = frozenset()
    left: bool = False


@dataclass(frozen=True)
class MembershipUpdate:
    """Records on their way to a neighbour."""

    records: tuple[MemberRecord, ...]


@dataclass(frozen=True)
class ReachabilityView:
    """What a node sees: whom it can reach, whom it misses, and the parts that all these fall into."""

    reachable: frozenset[str]
    missing: frozenset[str] = frozenset()
    components: int = 1


class MemberTable:
    """All records that a node knows, its own among them; at most ``MAX_MEMBERS``."""

    def __init__(self, me: MemberRecord) -> None:
        self.me = me
        self.others: dict[str, MemberRecord] = {}
        self._reached: dict[str, float] = {}
        self._in_reach: frozenset[str] = frozenset()  # as of the last look

    def connected(self, links: frozenset[str]) -> None:
        """Take in whom this node is linked with now."""
        if links != self.me.links and not self.me.left:
            self._say(replace(self.me, links=links))

    def leave(self) -> None:
        """Say that this node ends in good order."""
        self._say(replace(self.me, links=frozenset(), left=True))

    def recall(self, key: str, name: str, address: str) -> None:
        """Take in who was known in an earlier life."""
        if key != self.me.key:
            self._keep(self.others.get(key, MemberRecord(key, 0, name, address)))

    def hear(self, records: Iterable[MemberRecord]) -> None:
        """Take in what a neighbour passed on. What others still tell of an earlier life of ours is outdone."""
        for record in records:
            if record.key == self.me.key:
                if record.version >= self.me.version and record != self.me:
                    self._say(replace(self.me, version=record.version))
            elif record.version > self.others.get(record.key, MemberRecord("", -1, "", "")).version:
                self._keep(record)

    def news(self, told: Mapping[str, int]) -> list[MemberRecord]:
        """Return the records that somebody lacks who was told of these versions."""
        return [one for one in (self.me, *self.others.values()) if one.version > told.get(one.key, 0)]

    def look(self, now: float) -> ReachabilityView:
        """Return what this node sees at ``now`` (its own steady clock, in seconds)."""
        reachable = self._in_reach = self._reachable()
        self._reached.update(dict.fromkeys(reachable, now))
        self._reached = {key: then for key, then in self._reached.items() if now - then <= MISSED_SECONDS}
        taken = {self.others[key].address for key in reachable & self.others.keys()}
        missing = frozenset(
            key
            for key in self._reached.keys() & self.others.keys() - reachable
            if not self.others[key].left and (self.others[key].address or key) not in taken
        )
        return ReachabilityView(reachable, missing, 1 + self._parts(missing))

    def _reachable(self) -> frozenset[str]:
        """Return all nodes to which a path of links leads, this one among them."""
        return _closure(self.me.key, self._heads)

    def _heads(self, key: str) -> set[str]:
        """Return the ends of links of which a node in reach tells; of those that left, only our own links tell."""
        if key == self.me.key:
            return set(self.me.links)
        links = self.others[key].links & self.others.keys() if key in self.others else ()
        return {other for other in links if not self.others[other].left}

    def _parts(self, missing: frozenset[str]) -> int:
        """Return into how many parts those out of reach fall, by links of which both ends told last."""
        left, parts = set(missing), 0
        while left:
            parts += 1
            left -= _closure(min(left), lambda key: {one for one in self._ends(key) if key in self._ends(one)})
        return parts

    def _ends(self, key: str) -> frozenset[str]:
        return self.others[key].links if key in self.others else frozenset()

    def _say(self, record: MemberRecord) -> None:
        if record.version + 1 < MAX_VERSION:
            self.me = replace(record, version=record.version + 1)

    def _keep(self, record: MemberRecord) -> None:
        """Remember a record; where there is no room, in place of one that was out of reach for longest, or not."""
        if record.key not in self.others and len(self.others) >= MAX_MEMBERS:
            gone = [key for key in self.others if key not in self._in_reach]
            if not gone:
                return
            del self.others[min(gone, key=lambda key: self._reached.get(key, -math.inf))]
        self.others[record.key] = record


def _closure(start: str, following: Callable[[str], set[str]]) -> frozenset[str]:
    found, waiting = {start}, [start]
    while waiting:
        more = following(waiting.pop()) - found
        found |= more
        waiting += more
    return frozenset(found)


@dataclass(frozen=True)
class PeerChoice:
    """Whom a node dials: ``essential`` links hold the network together, ``others`` mix what is learned faster."""

    essential: frozenset[str]
    others: frozenset[str]


def choose_peers(me: str, candidates: Collection[str], always: Collection[str], limit: int) -> PeerChoice:
    """Return whom node ``me`` dials: of the ``candidates`` (nodes that can be dialled), and those kept ``always``.

    The next ones on the ring of node ids make one component of all that know each other. The rest are those of the
    highest rendezvous hash (Thaler and Ravishankar 1998), which is the same from both ends, up to half of ``limit``:
    the other half is for those who choose this node. With a limit of 0, nobody is chosen.
    """
    ring = sorted(set(candidates) - {me})
    if not limit or not ring:
        return PeerChoice(frozenset(always) - {me}, frozenset())
    start = bisect(ring, me)
    following = {ring[(start + step) % len(ring)] for step in range(min(SUCCESSORS, len(ring)))}
    essential = frozenset(always) - {me} | following
    room = max(0, limit // 2 - len(essential))
    ranked = sorted(set(ring) - essential, key=lambda key: _rendezvous(me, key), reverse=True)
    return PeerChoice(essential, frozenset(ranked[:room]))


def _rendezvous(one: str, other: str) -> bytes:
    return hashlib.blake2b("".join(sorted((one, other))).encode(), digest_size=16).digest()
