"""A snapshot of the network as table rows and lines of text, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from dslnode.cli.crawler import CrawledNode, NetworkSnapshot
from dslnode.cli.formatting import percent, si_amount
from dslnode.telemetry.score_history import sampled
from dslnode.telemetry.score_status import ACCURACY, held_out_score, score_text
from dslnode.telemetry.status_json import as_dict
from dslnode.transport.handshake import clean
from dslnode.v1 import node_pb2 as pb

BLOCKS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 11  # columns
MIN_RANGE = 0.05  # of score, from the lowest block to the highest: so that noise stays flat
MAX_LAYERS = 20


@dataclass(frozen=True)
class Column:
    """One column: text and sort key of a node; nodes without a sort key come last."""

    title: str
    width: int
    text: Callable[[CrawledNode, NetworkSnapshot], str]
    sort_key: Callable[[CrawledNode, NetworkSnapshot], float | str | None]
    is_number: bool = True


def sparkline(values: Sequence[float]) -> str:
    """Return one block for each value, the lowest value as the lowest block."""
    if not values:
        return ""
    low = min(values)
    span = max(max(values) - low, MIN_RANGE)
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int((value - low) / span * len(BLOCKS)))] for value in values)


def _of_reply(text_of: Callable[[pb.StatusReply], str]) -> Callable[[CrawledNode, NetworkSnapshot], str]:
    return lambda node, _: "-" if node.reply is None else text_of(node.reply)


def _state(node: CrawledNode, snapshot: NetworkSnapshot) -> str:
    if node.reply is not None:
        return node.reply.phase
    return "no answer" if snapshot.link_count(node.key) else "down"


def _points(reply: pb.StatusReply) -> list[tuple[int, float]]:
    return [(p.round, p.score if p.HasField("score") else p.accuracy) for p in reply.history]


def _score_text(node: CrawledNode, _: NetworkSnapshot) -> str:
    return "-" if node.reply is None else score_text(*held_out_score(node.reply))


COLUMNS = (
    Column("node", 14, lambda n, _: n.name, lambda n, _: n.name, is_number=False),
    Column("state", 11, _state, _state, is_number=False),
    Column("round", 6, lambda n, _: "-" if n.round is None else str(n.round), lambda n, _: n.round),
    Column("score", 8, _score_text, lambda n, _: n.score),
    Column(
        "history",
        SPARKLINE_WIDTH,
        _of_reply(lambda reply: sparkline(sampled(_points(reply), SPARKLINE_WIDTH))),
        lambda n, _: _gain(n),
        is_number=False,
    ),
    Column("links", 5, lambda n, p: str(p.link_count(n.key)), lambda n, p: p.link_count(n.key)),
    Column(
        "sent",
        9,
        _of_reply(lambda reply: si_amount(reply.payload_bits_sent, "bit")),
        lambda n, _: None if n.reply is None else n.reply.payload_bits_sent,
    ),
)


def table_row(node: CrawledNode, snapshot: NetworkSnapshot) -> list[Text]:
    """Return a node's cells; nodes that do not answer are dim."""
    style = "" if node.reply is not None else "dim"
    return [
        Text(
            clean(column.text(node, snapshot), 4 * column.width),
            style,
            justify="right" if column.is_number else "left",
            overflow="ellipsis",
            no_wrap=True,
        )
        for column in COLUMNS
    ]


def sorted_nodes(snapshot: NetworkSnapshot, column: Column, *, reverse: bool) -> list[CrawledNode]:
    """Return the nodes sorted by a column; those without a sort key come last in both directions."""
    sortable = [node for node in snapshot.nodes if column.sort_key(node, snapshot) is not None]
    sortable.sort(key=lambda node: column.sort_key(node, snapshot), reverse=reverse)  # type: ignore[arg-type,return-value]
    return sortable + [node for node in snapshot.nodes if column.sort_key(node, snapshot) is None]


def headline(snapshot: NetworkSnapshot, column: Column, *, reverse: bool, lost: bool) -> Text:
    """Return two lines about the network as a whole."""
    replies = snapshot.replies
    mean = mean_score(replies)
    sent, dense = (
        sum(getattr(reply, name) for reply in replies) for name in ("payload_bits_sent", "float32_bits_sent")
    )
    saved = f", float32 {dense / sent:,.0f} times that" if sent else ""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"run {clean(snapshot.run_id, 30)}", "bold")
    text.append(f"  {len(snapshot.nodes)} nodes, {len(replies)} answer, {len(snapshot.links)} links")
    text.append("  NO NODE ANSWERS NOW" if lost else "", "bold red")
    text.append(f"\n{mean}  sent {si_amount(sent, 'bit')}{saved}")
    return text.append(f"  by {column.title} {'▼' if reverse else '▲'}", "dim")


def mean_score(replies: Sequence[pb.StatusReply]) -> str:
    """Return the mean of the nodes' scores as text, where all are of one name."""
    measured = [held_out_score(reply) for reply in replies]
    values = [score for _, score in measured if score is not None]
    names = {name for name, score in measured if score is not None} or {ACCURACY}
    if len(names) > 1:
        return "nodes have unlike scores"
    [name] = names
    return f"mean {clean(name, 30)} {score_text(name, sum(values) / len(values) if values else None)}"


def score_lines(reply: pb.StatusReply, width: int) -> list[Text]:
    """Return the score over all rounds as a line of blocks, and each layer's density as a bar."""
    points, width, name = _points(reply), max(10, min(width - 4, 100)), held_out_score(reply)[0]
    lines = [Text("no score measured yet")]
    if points:
        values = [value for _, value in points]
        low, high = score_text(name, min(values)), score_text(name, max(values))
        ends = f"rounds {points[0][0]} to {points[-1][0]}, {low} to {high}"
        lines = [Text(f"{clean(name, 30)}, {ends}"), Text(sparkline(sampled(points, width)), "green", no_wrap=True)]
    if reply.layers:
        lines.append(Text("\nweights kept, by layer"))
    bar = max(10, width - 50)
    for layer in reply.layers[:MAX_LAYERS]:
        filled = round(bar * min(1.0, layer.density))
        name = clean(layer.name, 24)
        lines.append(
            Text(f"{name:<24} {'█' * filled}{'·' * (bar - filled)} {percent(layer.density)} of {layer.weights:,}")
        )
    return lines


def report_lines(node: CrawledNode, snapshot: NetworkSnapshot) -> Text:
    """Return what others report of a node that does not answer."""
    names = {each.key: each.name for each in snapshot.nodes}
    lines = [f"{node.name}  {_state(node, snapshot)}", f"address {node.address or 'unknown'}: {node.problem}", ""]
    for reporter, report in node.reports:
        link = "linked to it" if report.connected else f"not linked to it ({report.problem or 'no reason known'})"
        newest = f", newest mask of its round {report.round}" if report.HasField("round") else ""
        lines.append(f"{names.get(reporter, reporter[:8])}: {link}{newest}")
    return Text("\n".join(clean(line, 300) for line in lines))


def snapshot_as_dict(snapshot: NetworkSnapshot) -> dict[str, Any]:
    """Return the snapshot for scripts: nodes with their status (null without answer), and links as pairs of keys."""
    nodes = [
        {
            "key": node.key,
            "name": node.name,
            "address": node.address,
            "problem": node.problem,
            "status": None if node.reply is None else as_dict(node.reply),
        }
        for node in snapshot.nodes
    ]
    return {"run_id": snapshot.run_id, "nodes": nodes, "links": sorted(map(list, snapshot.links))}


def _gain(node: CrawledNode) -> float | None:
    points = [] if node.reply is None else _points(node.reply)
    return points[-1][1] - points[0][1] if points else None
