"""One page that shows all nodes of a testbed: an HTML file that a browser reads again by itself."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import NoReturn

from dslnode.atomic_file import replace_file
from dslnode.cli.crawler import AskStatus, NetworkSnapshot, crawl
from dslnode.cli.endings import ENDINGS
from dslnode.cli.network_table import COLUMNS, headline, sorted_nodes
from dslnode.cli.testbed_log import Progress, progress_of
from dslnode.cli.testbed_plan import PlannedNode
from dslnode.errors import ExitCode, UnreachableError
from dslnode.security.ticket import read_ticket
from dslnode.simulation.report.layout import places_of
from dslnode.simulation.report.page import Picture, document
from dslnode.simulation.report.svg import graph_picture
from dslnode.simulation.topology import edges_of, from_edges
from dslnode.transport.client import ask_status
from dslnode.v1 import node_pb2 as pb

ASK_SECONDS = 5.0
REFRESH_SECONDS = 5
MAX_SHARE = 0.2
"""Part of the time that asking may take: to ask is work for all nodes."""
STARTING, ENDED = "starting", "ended"


class LastReplies:
    """Asks nodes for their status, and answers for those that do not answer from what they said and logged last."""

    def __init__(self, ask: AskStatus, nodes: Sequence[PlannedNode]) -> None:
        self._ask = ask
        self._logs = {node.settings.listen: node.log for node in nodes}
        self._replies = {node.settings.listen: _unknown(node) for node in nodes}

    @property
    def addresses(self) -> list[str]:
        """The addresses of all nodes."""
        return list(self._logs)

    def ask(self, address: str) -> pb.StatusReply:
        """Return the status of the node at ``address``."""
        try:
            self._replies[address] = self._ask(address)
        except UnreachableError:
            return _silent(self._replies[address], progress_of(self._logs[address]))
        return self._replies[address]


def _unknown(node: PlannedNode) -> pb.StatusReply:
    """Return the status of a node that has never answered."""
    node_id = read_ticket(node.directory / "ticket").node_id
    return pb.StatusReply(name=node.name, node_id=node_id, run_id=node.settings.run_id, phase=STARTING)


def _silent(last: pb.StatusReply, progress: Progress) -> pb.StatusReply:
    """Return the status of a node that does not answer, without links: it has ended, or is not up yet."""
    silent = pb.StatusReply()
    silent.CopyFrom(last)
    silent.ClearField("neighbours")
    silent.phase = STARTING if last.phase == STARTING and not progress.round else ENDED
    silent.round = max(silent.round, progress.round)
    silent.payload_bits_sent = max(silent.payload_bits_sent, progress.bits_sent)
    if progress.score is not None:
        silent.score, silent.score_name = progress.score, progress.score_name
    return silent


def keep_page(file: Path, nodes: Sequence[PlannedNode]) -> NoReturn:
    """Write the page again and again, and once more when the process is told to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    last = LastReplies(partial(ask_status, timeout=ASK_SECONDS, ticket=nodes[0].directory / "ticket"), nodes)
    while True:
        began = time.monotonic()
        _write(file, last)
        took = time.monotonic() - began
        if signal.sigtimedwait(ENDINGS, max(REFRESH_SECONDS - took, took / MAX_SHARE - took)) is not None:
            _write(file, last)
            sys.exit(ExitCode.DONE)


def _write(file: Path, last: LastReplies) -> None:
    replace_file(file, page_of(crawl(last.addresses, last.ask)).encode())


def page_of(snapshot: NetworkSnapshot) -> str:
    """Return the page as HTML: a table of all nodes, and the graph of their links."""
    text = headline(snapshot, COLUMNS[0], reverse=False, lost=False).plain
    table = Picture("Nodes", f'<div class="scroll">{_table(snapshot)}</div>', is_wide=True)
    return document("dslnode testbed", text, [_graph(snapshot), table], refresh_seconds=REFRESH_SECONDS)


def _table(snapshot: NetworkSnapshot) -> str:
    head = "".join(f"<th>{escape(column.title)}</th>" for column in COLUMNS)
    rows = []
    for node in sorted_nodes(snapshot, COLUMNS[0], reverse=False):
        cells = (escape(column.text(node, snapshot)) for column in COLUMNS)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _graph(snapshot: NetworkSnapshot) -> Picture:
    numbers = {node.key: number for number, node in enumerate(snapshot.nodes)}
    links = [(numbers[a], numbers[b]) for a, b in snapshot.links if a in numbers and b in numbers]
    neighbours = from_edges(len(numbers), links)
    scores = [node.score for node in snapshot.nodes if node.score is not None]
    low, high = (min(scores), max(scores)) if scores else (0.0, 0.0)
    colours, titles = [], []
    for node, peers in zip(snapshot.nodes, neighbours, strict=True):
        part = 1.0 if node.score is None or high == low else (node.score - low) / (high - low)
        is_down = node.reply is not None and node.reply.phase == ENDED
        by_score = "#94a3b8" if node.score is None else f"hsl({40 + 165 * part:.0f} 70% 45%)"
        colours.append("#dc2626" if is_down else by_score)
        shown = "not measured" if node.score is None else f"{node.score:.3f}"
        titles.append(f"{node.name}: {shown}, {len(peers)} links")
    note = f"Yellow is {low:.3f}, blue {high:.3f}; grey was not measured, nodes that have ended are red."
    picture = graph_picture(places_of(neighbours), edges_of(neighbours), colours, titles)
    return Picture("Links, and nodes by score", picture, note)
