"""Which nodes the network has, which of them can be reached, and which to dial. Pure values and decisions.

Every node numbers the record that it makes of itself, and neighbours pass the newest on (link-state flooding, as in
OSPF, RFC 2328). No clocks are compared. Reachability follows from these records alone: the record of a node that
cannot be reached says nothing about its links.

An address that a node announces is only a claim. It is proven once another node has dialled it and met that node.
"""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

MAX_RECORDS = 32
"""Records per frame."""
MAX_VERSION = 2**31
MAX_PROVEN = 100
"""Proven addresses per record."""
PROOF_BYTES = 8
MAX_MEMBERS = 1_000
"""Records of other nodes that a node keeps."""
SUCCESSORS = 2
"""Next nodes on the ring of node ids that a node always links with: the ring holds if one of them dies."""
MISSED_SECONDS = 86_400.0
"""Seconds for which a node that became unreachable counts as missing."""


@dataclass(frozen=True)
class MemberRecord:
    """A node's description of itself. Of two records of a node the higher ``version`` counts."""

    key: str  # node id in hex
    version: int  # from 1; 0 if it was only remembered from before a restart
    name: str
    address: str  # HOST:PORT, or empty if it cannot be dialled
    links: frozenset[str] = frozenset()  # keys of its neighbours
    left: bool = False  # it ended in good order
    proven: frozenset[bytes] = frozenset()  # by ``address_proof``: what it dialled, and met the node that it expected
    signature: bytes = b""
    certificate: bytes = b""  # DER

    @property
    def size(self) -> int:
        """The bytes that it takes, about, in a frame and in memory."""
        parts = (self.name, self.address, self.signature, self.certificate)
        return 48 + sum(map(len, parts)) + 16 * len(self.links) + PROOF_BYTES * len(self.proven)

    def says_the_same(self, other: MemberRecord) -> bool:
        """Return whether two records differ in nothing but their version and what follows from it."""
        return replace(other, version=self.version, signature=self.signature) == self

    def content(self) -> bytes:
        """Return what a signature covers: all but itself and the certificate, which names the node."""
        texts = (self.key, self.name, self.address, *sorted(self.links))
        fields = [text.encode() for text in texts] + sorted(self.proven)
        head = struct.pack("<I?HH", self.version, self.left, len(self.links), len(self.proven))
        return head + b"".join(struct.pack("<H", len(field)) + field for field in fields)


def address_proof(key: str, address: str) -> bytes:
    """Return the 8 bytes by which a record says that a node was met at an address."""
    return hashlib.blake2b(f"{key} {address}".encode(), digest_size=PROOF_BYTES).digest()


@dataclass(frozen=True)
class MembershipUpdate:
    """Records that a node passes on to a neighbour."""

    records: tuple[MemberRecord, ...]


@dataclass(frozen=True)
class ReachabilityView:
    """Which nodes this node can reach, which it misses, and into how many components all these fall."""

    reachable: frozenset[str]
    missing: frozenset[str] = frozenset()
    components: int = 1


class MemberTable:
    """The own record ``me`` of a node, and by key those of at most ``MAX_MEMBERS`` other nodes."""

    def __init__(self, me: MemberRecord) -> None:
        self.me = me
        self.others: dict[str, MemberRecord] = {}
        self._since: dict[str, int] = {}  # by key: the version from which on a record has said what it says
        self._last_reached: dict[str, float] = {}
        self._in_reach: frozenset[str] = frozenset()  # as of the last view

    def set_links(self, links: frozenset[str], proven: frozenset[bytes] = frozenset()) -> None:
        """Set this node's neighbours and the addresses that it has proven, and announce them if they changed."""
        if (links, proven) != (self.me.links, self.me.proven) and not self.me.left:
            self._announce(replace(self.me, links=links, proven=proven))

    def is_proven(self, key: str) -> bool:
        """Return whether any node but this one itself has been met at the address that it announces."""
        proof = address_proof(key, self.others[key].address)
        return any(proof in record.proven for record in (self.me, *self.others.values()) if record.key != key)

    def renew(self) -> None:
        """Announce this node once more, because what comes with its record has changed."""
        self._announce(self.me)

    def leave(self) -> None:
        """Announce that this node ends in good order."""
        self._announce(replace(self.me, links=frozenset(), left=True))

    def remember(self, key: str, name: str, address: str) -> None:
        """Add a node known from elsewhere, such as from before a restart, unless it has a record already."""
        if key != self.me.key:
            self._store(self.others.get(key, MemberRecord(key, 0, name, address)), since=self._since.get(key, 0))

    def merge(self, records: Iterable[MemberRecord]) -> None:
        """Take in the records that a neighbour passed on, where they are newer.

        A record of this node itself, from before a restart, is superseded by announcing a higher version. One
        that differs in its version alone is kept, but not passed on to those that have the one before.
        """
        for record in records:
            if record.key == self.me.key:
                if record.version >= self.me.version and not self._is_own(record):
                    self._announce(replace(self.me, version=record.version))
                continue
            known = self.others.get(record.key)
            if known is None or record.version > known.version:
                is_news = known is None or not record.says_the_same(known)
                self._store(record, since=record.version if is_news else self._since[record.key])

    def records_newer_than(self, versions: Mapping[str, int]) -> list[MemberRecord]:
        """Return the records that a neighbour lacks that has these versions, by key."""
        news = [record for record in self.others.values() if self._since[record.key] > versions.get(record.key, 0)]
        return [self.me, *news] if self.me.version > versions.get(self.me.key, 0) else news

    def view(self, now: float) -> ReachabilityView:
        """Return what follows from the records at ``now``, in seconds of this node's steady clock."""
        reachable = self._in_reach = self._reachable()
        self._last_reached.update(dict.fromkeys(reachable, now))
        self._last_reached = {key: then for key, then in self._last_reached.items() if now - then <= MISSED_SECONDS}
        reachable_addresses = {self.others[key].address for key in reachable & self.others.keys()}
        missing = frozenset(
            key
            for key in self._last_reached.keys() & self.others.keys() - reachable
            if not self.others[key].left and (self.others[key].address or key) not in reachable_addresses
        )
        return ReachabilityView(reachable, missing, 1 + self._components(missing))

    def _reachable(self) -> frozenset[str]:
        """Return all nodes to which a path of links leads, this one among them."""
        return _closure(self.me.key, self._reachable_neighbours)

    def _reachable_neighbours(self, key: str) -> set[str]:
        """Return the neighbours of a reachable node, by its own record. A node that left is only our own neighbour."""
        if key == self.me.key:
            return set(self.me.links)
        return {peer for peer in self._links(key) & self.others.keys() if not self.others[peer].left}

    def _components(self, missing: frozenset[str]) -> int:
        """Return into how many components the missing fall, by links that both ends announced last."""
        remaining, count = set(missing), 0
        while remaining:
            count += 1
            remaining -= _closure(min(remaining), self._mutual_neighbours)
        return count

    def _mutual_neighbours(self, key: str) -> set[str]:
        return {peer for peer in self._links(key) if key in self._links(peer)}

    def _links(self, key: str) -> frozenset[str]:
        return self.others[key].links if key in self.others else frozenset()

    def _is_own(self, record: MemberRecord) -> bool:
        return record.version == self.me.version and record.says_the_same(self.me)

    def _announce(self, record: MemberRecord) -> None:
        if record.version + 1 < MAX_VERSION:
            self.me = replace(record, version=record.version + 1)

    def _store(self, record: MemberRecord, *, since: int) -> None:
        """Keep a record. A full table drops the one that was unreachable for longest, and else takes no new node."""
        if record.key not in self.others and len(self.others) >= MAX_MEMBERS:
            unreachable = [key for key in self.others if key not in self._in_reach]
            if not unreachable:
                return
            dropped = min(unreachable, key=lambda key: self._last_reached.get(key, -math.inf))
            del self.others[dropped], self._since[dropped]
        self.others[record.key], self._since[record.key] = record, since


def _closure(start: str, neighbours: Callable[[str], set[str]]) -> frozenset[str]:
    """Return all nodes to which steps to ``neighbours`` lead from ``start``."""
    reached, waiting = {start}, [start]
    while waiting:
        new = neighbours(waiting.pop()) - reached
        reached |= new
        waiting += new
    return frozenset(reached)


@dataclass(frozen=True)
class PeerChoice:
    """The nodes to dial: ``essential`` links hold the network together, ``others`` spread what is learned faster."""

    essential: frozenset[str]
    others: frozenset[str]


def choose_peers(me: str, candidates: Collection[str], always: Collection[str], limit: int) -> PeerChoice:
    """Return which nodes ``me`` dials: some of the ``candidates``, which can be dialled, and those kept ``always``.

    The next two on the ring of node ids are essential: with them all nodes that know each other form one component.
    The others have the highest rendezvous hash (Thaler and Ravishankar 1998), which is the same from both ends, up to
    half of ``limit``. The other half is for nodes that choose this one. With a limit of 0 no candidate is chosen.
    """
    following = successors(me, candidates)
    if not limit or not following:
        return PeerChoice(frozenset(always) - {me}, frozenset())
    essential = frozenset(always) - {me} | following
    room = max(0, limit // 2 - len(essential))
    ranked = sorted(set(candidates) - essential - {me}, key=lambda key: _rendezvous(me, key), reverse=True)
    return PeerChoice(essential, frozenset(ranked[:room]))


def successors(me: str, members: Collection[str]) -> frozenset[str]:
    """Return the next ``SUCCESSORS`` nodes on the ring of node ids, fewer if there are no more."""
    ring = sorted(set(members) - {me})
    start = bisect(ring, me)
    return frozenset(ring[(start + step) % len(ring)] for step in range(min(SUCCESSORS, len(ring))))


def _rendezvous(key: str, other_key: str) -> bytes:
    return hashlib.blake2b("".join(sorted((key, other_key))).encode(), digest_size=16).digest()
