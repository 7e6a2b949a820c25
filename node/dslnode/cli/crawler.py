"""The whole network as one node's neighbours, their neighbours and so on tell it: who asks whom, and one picture of it.

A node knows its neighbours only. ``crawl`` asks one, then all whom it names, wave by wave, within bounds in
number, time and concurrency; the asking itself is passed in. Who does not answer is shown as those tell who know it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from dslnode.addresses import check_address
from dslnode.errors import UnreachableError
from dslnode.v1 import node_pb2 as pb

MAX_NODES = 200
AT_ONCE = 16
SECONDS_IN_ALL = 10.0

Ask = Callable[[str], pb.StatusReply]


@dataclass(frozen=True)
class SeenNode:
    """One node of the network. ``reply`` is None if it did not answer; ``told`` is what others say of it.

    ``key`` is its node id in hex, or its address where nobody knows more. ``told`` pairs a teller's key with its word.
    """

    key: str
    name: str
    address: str
    reply: pb.StatusReply | None = None
    told: tuple[tuple[str, pb.NeighbourStatus], ...] = ()
    problem: str = ""

    @property
    def round(self) -> int | None:
        """Its round, by its own word or else of the newest mask that anybody has from it."""
        if self.reply is not None:
            return self.reply.round
        return max((word.round for _, word in self.told if word.HasField("round")), default=None)

    @property
    def accuracy(self) -> float | None:
        """Its accuracy on held-out data, if it answered and has measured it."""
        return self.reply.accuracy if self.reply is not None and self.reply.HasField("accuracy") else None


@dataclass(frozen=True)
class NetworkSnapshot:
    """The network at one moment: nodes by name, and open links as pairs of keys, told by either end."""

    run_id: str
    nodes: tuple[SeenNode, ...]
    links: frozenset[tuple[str, str]]

    def links_of(self, key: str) -> int:
        """Return how many open links a node has."""
        return sum(key in link for link in self.links)

    @property
    def answering(self) -> list[pb.StatusReply]:
        """What all nodes said that answered."""
        return [node.reply for node in self.nodes if node.reply is not None]


@dataclass
class CrawlState:
    """What asking has given so far: ``answers`` by address, in the order of arrival, and ``problems`` by address."""

    answers: dict[str, pb.StatusReply] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def to_ask(self) -> list[str]:
        """Return the addresses to ask next: told of by nodes of this run, not asked yet, of nobody who answered."""
        answered = {reply.node_id for reply in self.answers.values()}
        found: dict[str, bool] = {}
        for word in (word for reply in self._of_this_run() for word in reply.neighbours):
            if word.node_id not in answered and word.address not in self.problems and _is_address(word.address):
                found[word.address] = found.get(word.address, False) or word.connected
        waiting = sorted((address for address in found if address not in self.answers), key=lambda a: not found[a])
        return waiting[: max(0, MAX_NODES - len(self.answers) - len(self.problems))]

    def picture(self) -> NetworkSnapshot:
        """Return all that is known as one picture."""
        own = {reply.node_id: address for address, reply in reversed(self.answers.items()) if self._is_ours(reply)}
        replies = {key: self.answers[address] for key, address in own.items()}
        words = list(_words(replies.values()))
        keys = {word.address: word.node_id for _, word in words if word.address and word.node_id}
        keys |= {address: reply.node_id for address, reply in self.answers.items()}
        told: dict[str, list[tuple[str, pb.NeighbourStatus]]] = {}
        for teller, word in words:
            told.setdefault(_key(word, keys), []).append((teller, word))
        nodes = [self._seen(key, own.get(key), replies.get(key), tuple(told.get(key, ()))) for key in {**own, **told}]
        links = {_link(teller, _key(word, keys)) for teller, word in words if word.connected}
        return NetworkSnapshot(
            self.run_id, tuple(sorted(nodes, key=lambda node: (node.name, node.key))), frozenset(links)
        )

    @property
    def run_id(self) -> str:
        """The run of the node that answered first."""
        return next((reply.run_id for reply in self.answers.values()), "")

    def _is_ours(self, reply: pb.StatusReply) -> bool:
        return reply.run_id == self.run_id

    def _of_this_run(self) -> list[pb.StatusReply]:
        return [reply for reply in self.answers.values() if self._is_ours(reply)]

    def _seen(
        self,
        key: str,
        address: str | None,
        reply: pb.StatusReply | None,
        told: tuple[tuple[str, pb.NeighbourStatus], ...],
    ) -> SeenNode:
        if reply is not None:
            return SeenNode(key, reply.name, address or "", reply, told)
        newest = max((word for _, word in told), key=lambda word: (word.connected, word.round))
        where = next((word.address for _, word in told if word.address), "")
        said = next((word.problem for _, word in told if word.problem), "")
        why = self.problems.get(where) or said or ("not asked" if where else "nobody tells an address to ask it at")
        return SeenNode(key, newest.name, where, None, told, why)


def crawl(start: Iterable[str], ask: Ask, now: Callable[[], float] = time.monotonic) -> NetworkSnapshot:
    """Ask at the addresses to start from and at all that follow from the answers; return the picture.

    ``ask`` raises ``UnreachableError`` within a time of its own. No wave begins after ``SECONDS_IN_ALL``.
    """
    findings, began = CrawlState(), now()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="asking") as threads:
        wave = list(dict.fromkeys(start))[:MAX_NODES]
        while wave and now() - began < SECONDS_IN_ALL:
            for address, answer in zip(wave, threads.map(lambda one: _asked(ask, one), wave), strict=True):
                if isinstance(answer, str):
                    findings.problems[address] = answer
                else:
                    findings.answers[address] = answer
            wave = findings.to_ask()[: 4 * AT_ONCE]
    return findings.picture()


def addresses_of(picture: NetworkSnapshot, first: Sequence[str]) -> list[str]:
    """Return where to begin the next time: at all who answered, so that the loss of one does not end the view."""
    return [*first, *(node.address for node in picture.nodes if node.reply is not None)]


def _asked(ask: Ask, address: str) -> pb.StatusReply | str:
    try:
        return ask(address)
    except UnreachableError as error:
        return str(error)


def _words(replies: Iterable[pb.StatusReply]) -> Iterator[tuple[str, pb.NeighbourStatus]]:
    return ((reply.node_id, word) for reply in replies for word in reply.neighbours if word.node_id or word.address)


def _key(word: pb.NeighbourStatus, keys: dict[str, str]) -> str:
    return word.node_id or keys.get(word.address, word.address)


def _link(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _is_address(text: str) -> bool:
    try:
        return bool(check_address(text))
    except ValueError:
        return False
