"""Crawls the whole network from one node, and merges all status replies into one snapshot.

A node knows its neighbours only. ``crawl`` asks one node, then all nodes that its reply names, wave by wave, bounded in
number, time and concurrency; the request itself is passed in. A node that does not answer is shown as its neighbours
report it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from dslnode.addresses import check_address
from dslnode.errors import UnreachableError
from dslnode.telemetry.score_status import held_out_score
from dslnode.v1 import node_pb2 as pb

MAX_NODES = 256
MAX_CONCURRENT = 16
MAX_SECONDS = 10.0
"""Seconds after which no further wave of requests begins."""

AskStatus = Callable[[str], pb.StatusReply]
Report = tuple[str, pb.NeighbourStatus]
"""Key of the reporting node, and what its reply says of a neighbour."""


@dataclass(frozen=True)
class CrawledNode:
    """One node of the network. ``reply`` is None if it did not answer; ``reports`` are what others say of it.

    ``key`` is its node id in hex, or its address if no node reports its id.
    """

    key: str
    name: str
    address: str
    reply: pb.StatusReply | None = None
    reports: tuple[Report, ...] = ()
    problem: str = ""

    @property
    def round(self) -> int | None:
        """Its round as it replied, or else the round of the newest mask that any neighbour has of it."""
        if self.reply is not None:
            return self.reply.round
        return max((report.round for _, report in self.reports if report.HasField("round")), default=None)

    @property
    def score(self) -> float | None:
        """Its score on held-out data, higher is better, if it answered and has measured it."""
        return None if self.reply is None else held_out_score(self.reply)[1]


@dataclass(frozen=True)
class NetworkSnapshot:
    """The network at one moment: nodes by name, and open links, reported by either end, as pairs of keys."""

    run_id: str
    nodes: tuple[CrawledNode, ...]
    links: frozenset[tuple[str, str]]

    def link_count(self, key: str) -> int:
        """Return the number of open links of a node."""
        return sum(key in link for link in self.links)

    @property
    def replies(self) -> list[pb.StatusReply]:
        """Replies of all nodes that answered."""
        return [node.reply for node in self.nodes if node.reply is not None]


@dataclass
class CrawlState:
    """Results so far: ``replies`` by address, in the order of arrival, and ``problems`` by address."""

    replies: dict[str, pb.StatusReply] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def next_addresses(self) -> list[str]:
        """Return the addresses to ask next, connected ones first.

        They are reported by nodes of this run, were not asked yet, and belong to no node that answered.
        """
        answered = {reply.node_id for reply in self.replies.values()}
        connected: dict[str, bool] = {}
        for report in (report for reply in self._run_replies() for report in reply.neighbours):
            address = report.address
            if report.node_id not in answered and address not in self.problems and _is_address(address):
                connected[address] = connected.get(address, False) or report.connected
        waiting = [address for address in connected if address not in self.replies]
        waiting.sort(key=lambda address: not connected[address])
        return waiting[: max(0, MAX_NODES - len(self.replies) - len(self.problems))]

    def snapshot(self) -> NetworkSnapshot:
        """Merge all results."""
        addresses = {reply.node_id: address for address, reply in reversed(self.replies.items()) if self._is_run(reply)}
        replies = {key: self.replies[address] for key, address in addresses.items()}
        all_reports = list(_reports(replies.values()))
        keys = {report.address: report.node_id for _, report in all_reports if report.address and report.node_id}
        keys |= {address: reply.node_id for address, reply in self.replies.items()}
        reports: dict[str, list[Report]] = {}
        for reporter, report in all_reports:
            reports.setdefault(_key(report, keys), []).append((reporter, report))
        nodes = [
            self._node(key, addresses.get(key), replies.get(key), tuple(reports.get(key, ())))
            for key in {**addresses, **reports}
        ]
        links = {_link(reporter, _key(report, keys)) for reporter, report in all_reports if report.connected}
        nodes.sort(key=lambda node: (node.name, node.key))
        return NetworkSnapshot(self.run_id, tuple(nodes), frozenset(links))

    @property
    def run_id(self) -> str:
        """The run of the node that answered first."""
        return next((reply.run_id for reply in self.replies.values()), "")

    def _is_run(self, reply: pb.StatusReply) -> bool:
        return reply.run_id == self.run_id

    def _run_replies(self) -> list[pb.StatusReply]:
        return [reply for reply in self.replies.values() if self._is_run(reply)]

    def _node(
        self, key: str, address: str | None, reply: pb.StatusReply | None, reports: tuple[Report, ...]
    ) -> CrawledNode:
        if reply is not None:
            return CrawledNode(key, reply.name, address or "", reply, reports)
        newest = max((report for _, report in reports), key=lambda report: (report.connected, report.round))
        reported_address = next((report.address for _, report in reports if report.address), "")
        reported_problem = next((report.problem for _, report in reports if report.problem), "")
        unasked = "not asked" if reported_address else "no node reports an address of it"
        problem = self.problems.get(reported_address) or reported_problem or unasked
        return CrawledNode(key, newest.name, reported_address, None, reports, problem)


def crawl(start: Iterable[str], ask: AskStatus, now: Callable[[], float] = time.monotonic) -> NetworkSnapshot:
    """Ask the nodes at the start addresses, and all that follow from their replies; return the snapshot.

    ``ask`` raises ``UnreachableError`` after a timeout of its own.
    """
    state, began = CrawlState(), now()
    with ThreadPoolExecutor(MAX_CONCURRENT, thread_name_prefix="crawl") as threads:
        wave = list(dict.fromkeys(start))[:MAX_NODES]
        while wave and now() - began < MAX_SECONDS:
            results = threads.map(lambda address: _ask_or_problem(ask, address), wave)
            for address, result in zip(wave, results, strict=True):
                if isinstance(result, str):
                    state.problems[address] = result
                else:
                    state.replies[address] = result
            wave = state.next_addresses()[: 4 * MAX_CONCURRENT]
    return state.snapshot()


def start_addresses(snapshot: NetworkSnapshot, first: Sequence[str]) -> list[str]:
    """Return where the next crawl starts: at all nodes that answered, so that the loss of one does not end the view."""
    return [*first, *(node.address for node in snapshot.nodes if node.reply is not None)]


def _ask_or_problem(ask: AskStatus, address: str) -> pb.StatusReply | str:
    try:
        return ask(address)
    except UnreachableError as error:
        return str(error)


def _reports(replies: Iterable[pb.StatusReply]) -> Iterator[Report]:
    return (
        (reply.node_id, report) for reply in replies for report in reply.neighbours if report.node_id or report.address
    )


def _key(report: pb.NeighbourStatus, keys: dict[str, str]) -> str:
    return report.node_id or keys.get(report.address, report.address)


def _link(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first < second else (second, first)


def _is_address(text: str) -> bool:
    try:
        return bool(check_address(text))
    except ValueError:
        return False
