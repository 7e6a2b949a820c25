"""One page that shows all nodes of a testbed: an HTML file that a browser reads again by itself."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import NoReturn

from dslnode.atomic_file import replace_file
from dslnode.cli.crawler import AskStatus, CrawledNode, NetworkSnapshot, crawl
from dslnode.cli.endings import ENDINGS
from dslnode.cli.formatting import si_amount
from dslnode.cli.network_table import COLUMNS, mean_score
from dslnode.cli.testbed_log import Progress, progress_of
from dslnode.cli.testbed_plan import PlannedNode
from dslnode.errors import ExitCode, UnreachableError
from dslnode.security.ticket import read_ticket
from dslnode.simulation.graph import Neighbours
from dslnode.simulation.report.layout import places_of
from dslnode.simulation.report.page import Picture, document
from dslnode.simulation.report.svg import Point, graph_picture
from dslnode.transport.client import ask_status
from dslnode.v1 import node_pb2 as pb

ASK_SECONDS = 5.0
REFRESH_SECONDS = 5
MAX_SHARE = 0.2
"""Part of the time that asking may take: to ask is work for all nodes."""
STARTING, ENDED, FINISHED = "starting", "ended", "finished"
"""Phases of nodes that do not answer."""


class LastReplies:
    """Asks nodes for their status, and answers for those that do not answer from what they said and logged last."""

    def __init__(self, ask: AskStatus, nodes: Sequence[PlannedNode]) -> None:
        self._ask = ask
        self._nodes = {node.settings.listen: node for node in nodes}
        self._replies = {node.settings.listen: _unknown(node) for node in nodes}

    @property
    def addresses(self) -> list[str]:
        """The addresses of all nodes."""
        return list(self._nodes)

    def ask(self, address: str) -> pb.StatusReply:
        """Return the status of the node at ``address``."""
        try:
            self._replies[address] = self._ask(address)
        except UnreachableError:
            node = self._nodes[address]
            return _silent(self._replies[address], progress_of(node.log), node.settings.rounds)
        return self._replies[address]


def _unknown(node: PlannedNode) -> pb.StatusReply:
    """Return the status of a node that has never answered."""
    node_id = read_ticket(node.directory / "ticket").node_id
    return pb.StatusReply(name=node.name, node_id=node_id, run_id=node.settings.run_id, phase=STARTING)


def _silent(last: pb.StatusReply, progress: Progress, rounds: int) -> pb.StatusReply:
    """Return the status of a node that does not answer, without links; ``rounds`` are those that it is to do."""
    silent = pb.StatusReply()
    silent.CopyFrom(last)
    silent.ClearField("neighbours")
    silent.phase = _silent_phase(last, progress, rounds)
    silent.round = max(silent.round, progress.round)
    silent.payload_bits_sent = max(silent.payload_bits_sent, progress.bits_sent)
    if progress.score is not None:
        silent.score, silent.score_name = progress.score, progress.score_name
    return silent


def _silent_phase(last: pb.StatusReply, progress: Progress, rounds: int) -> str:
    if 0 < rounds <= progress.round:
        return FINISHED
    return STARTING if last.phase == STARTING and not progress.round else ENDED


def keep_page(file: Path, nodes: Sequence[PlannedNode], neighbours: Neighbours) -> NoReturn:
    """Write the page again and again, and once more when the process is told to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    last = LastReplies(partial(ask_status, timeout=ASK_SECONDS, ticket=nodes[0].directory / "ticket"), nodes)
    places = dict(zip((node.name for node in nodes), places_of(neighbours), strict=True))

    def write() -> None:
        replace_file(file, page_of(crawl(last.addresses, last.ask), places).encode())

    while True:
        began = time.monotonic()
        write()
        took = time.monotonic() - began
        if signal.sigtimedwait(ENDINGS, max(REFRESH_SECONDS - took, took / MAX_SHARE - took)) is not None:
            write()
            sys.exit(ExitCode.DONE)


def page_of(snapshot: NetworkSnapshot, places: Mapping[str, Point]) -> str:
    """Return the page as HTML: a graph of the links, and a table of all nodes that have one of the ``places``."""
    nodes = sorted(
        (node for node in snapshot.nodes if node.name in places), key=lambda node: (len(node.name), node.name)
    )
    table = Picture("Nodes", f'<div class="scroll">{_table(snapshot, nodes)}</div>', is_wide=True)
    pictures = [_graph(snapshot, nodes, places), table]
    return document("dslnode testbed", _summary(snapshot, nodes), pictures, refresh_seconds=REFRESH_SECONDS)


def _summary(snapshot: NetworkSnapshot, nodes: Sequence[CrawledNode]) -> str:
    replies = [node.reply for node in nodes if node.reply is not None]
    phases = Counter(reply.phase for reply in replies)
    running = len(replies) - sum(phases[phase] for phase in (STARTING, ENDED, FINISHED))
    parts = [f"{running} of {len(nodes)} nodes run"]
    parts += [f"{phases[phase]} {phase}" for phase in (STARTING, ENDED, FINISHED) if phases[phase]]
    sent = si_amount(sum(reply.payload_bits_sent for reply in replies), "bit")
    return ", ".join([*parts, f"{len(snapshot.links)} links", mean_score(replies), f"{sent} sent"])


def _table(snapshot: NetworkSnapshot, nodes: Sequence[CrawledNode]) -> str:
    head = "".join(f"<th>{escape(column.title)}</th>" for column in COLUMNS)
    rows = []
    for node in nodes:
        cells = (escape(column.text(node, snapshot)) for column in COLUMNS)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _graph(snapshot: NetworkSnapshot, nodes: Sequence[CrawledNode], places: Mapping[str, Point]) -> Picture:
    numbers = {node.key: number for number, node in enumerate(nodes)}
    links = [(numbers[a], numbers[b]) for a, b in snapshot.links if a in numbers and b in numbers]
    scores = [node.score for node in nodes if node.score is not None]
    low, high = (min(scores), max(scores)) if scores else (0.0, 0.0)
    note = f"Yellow is {low:.3f}, blue {high:.3f}; grey was not measured, red nodes ended before their time."
    picture = graph_picture(
        [places[node.name] for node in nodes],
        links,
        [_colour(node, low, high) for node in nodes],
        [f"{node.name}: {'not measured' if node.score is None else f'{node.score:.3f}'}" for node in nodes],
    )
    return Picture("Links, and nodes by score", picture, note)


def _colour(node: CrawledNode, low: float, high: float) -> str:
    if node.reply is not None and node.reply.phase == ENDED:
        return "#dc2626"
    if node.score is None:
        return "#94a3b8"
    return f"hsl({40 + 165 * (1.0 if high == low else (node.score - low) / (high - low)):.0f} 70% 45%)"
