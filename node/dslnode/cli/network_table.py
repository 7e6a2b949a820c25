"""A picture of the network as lines for a terminal, and as JSON: columns, their order, sparklines; no drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from dslnode.cli.crawler import NetworkSnapshot, SeenNode
from dslnode.cli.formatting import percent, si_amount
from dslnode.telemetry.accuracy_history import sampled
from dslnode.telemetry.status_json import as_dict
from dslnode.transport.handshake import clean
from dslnode.v1 import node_pb2 as pb

BLOCKS = "▁▂▃▄▅▆▇█"
SPARKLINE = 11  # columns
SMALLEST_RANGE = 0.05  # of accuracy, from the lowest block to the highest: noise is not drawn as mountains
MAX_LAYERS = 20


@dataclass(frozen=True)
class Column:
    """One column: what it says of a node, and by what it is sorted; nodes with nothing to say come last."""

    title: str
    width: int
    text: Callable[[SeenNode, NetworkSnapshot], str]
    order: Callable[[SeenNode, NetworkSnapshot], float | str | None]
    is_number: bool = True


def sparkline(values: Sequence[float]) -> str:
    """Return one block for each value, the lowest value as the lowest block."""
    if not values:
        return ""
    low = min(values)
    span = max(max(values) - low, SMALLEST_RANGE)
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int((value - low) / span * len(BLOCKS)))] for value in values)


def _of_reply(say: Callable[[pb.StatusReply], str]) -> Callable[[SeenNode, NetworkSnapshot], str]:
    return lambda node, _: "-" if node.reply is None else say(node.reply)


def _state(node: SeenNode, picture: NetworkSnapshot) -> str:
    if node.reply is not None:
        return node.reply.phase
    return "no answer" if picture.links_of(node.key) else "down"


def _points(reply: pb.StatusReply) -> list[tuple[int, float]]:
    return [(point.round, point.accuracy) for point in reply.history]


COLUMNS = (
    Column("node", 14, lambda n, _: n.name, lambda n, _: n.name, is_number=False),
    Column("state", 11, _state, _state, is_number=False),
    Column("round", 6, lambda n, _: "-" if n.round is None else str(n.round), lambda n, _: n.round),
    Column("accuracy", 8, lambda n, _: percent(n.accuracy), lambda n, _: n.accuracy),
    Column(
        "history",
        SPARKLINE,
        _of_reply(lambda reply: sparkline(sampled(_points(reply), SPARKLINE))),
        lambda n, _: _gain(n),
        is_number=False,
    ),
    Column("links", 5, lambda n, p: str(p.links_of(n.key)), lambda n, p: p.links_of(n.key)),
    Column(
        "sent",
        9,
        _of_reply(lambda reply: si_amount(reply.payload_bits_sent, "bit")),
        lambda n, _: None if n.reply is None else n.reply.payload_bits_sent,
    ),
)


def row(node: SeenNode, picture: NetworkSnapshot) -> list[Text]:
    """Return a node's cells; those who do not answer are dim."""
    style = "" if node.reply is not None else "dim"
    return [
        Text(
            clean(column.text(node, picture), 4 * column.width),
            style,
            justify="right" if column.is_number else "left",
            overflow="ellipsis",
            no_wrap=True,
        )
        for column in COLUMNS
    ]


def ordered(picture: NetworkSnapshot, column: Column, *, reverse: bool) -> list[SeenNode]:
    """Return the nodes in a column's order; those of which it knows nothing come last, whatever the direction."""
    known = [node for node in picture.nodes if column.order(node, picture) is not None]
    known.sort(key=lambda node: column.order(node, picture), reverse=reverse)  # type: ignore[arg-type,return-value]
    return known + [node for node in picture.nodes if column.order(node, picture) is None]


def headline(picture: NetworkSnapshot, column: Column, *, reverse: bool, lost: bool) -> Text:
    """Return two lines that say how the network is as a whole."""
    replies = picture.answering
    measured = [reply.accuracy for reply in replies if reply.HasField("accuracy")]
    mean = percent(sum(measured) / len(measured) if measured else None)
    sent, dense = (
        sum(getattr(reply, name) for reply in replies) for name in ("payload_bits_sent", "float32_bits_sent")
    )
    saved = f", float32 {dense / sent:,.0f} times that" if sent else ""
    said = Text(no_wrap=True, overflow="ellipsis")
    said.append(f"run {clean(picture.run_id, 30)}", "bold")
    said.append(f"  {len(picture.nodes)} nodes, {len(replies)} answer, {len(picture.links)} links")
    said.append("  NOBODY ANSWERS NOW" if lost else "", "bold red")
    said.append(f"\nmean accuracy {mean}  sent {si_amount(sent, 'bit')}{saved}")
    return said.append(f"  by {column.title} {'▼' if reverse else '▲'}", "dim")


def curve(reply: pb.StatusReply, width: int) -> list[Text]:
    """Return the accuracy over all rounds as a line of blocks, and each layer's density as a bar."""
    points, room = _points(reply), max(10, min(width - 4, 100))
    lines = [Text("no accuracy measured yet")]
    if points:
        values = [value for _, value in points]
        ends = f"rounds {points[0][0]} to {points[-1][0]}, {percent(min(values))} to {percent(max(values))}"
        lines = [Text(f"accuracy, {ends}"), Text(sparkline(sampled(points, room)), "green", no_wrap=True)]
    if reply.layers:
        lines.append(Text("\nweights kept, by layer"))
    bar = max(10, room - 50)
    for layer in reply.layers[:MAX_LAYERS]:
        filled = round(bar * min(1.0, layer.density))
        name = clean(layer.name, 24)
        lines.append(
            Text(f"{name:<24} {'█' * filled}{'·' * (bar - filled)} {percent(layer.density)} of {layer.weights:,}")
        )
    return lines


def told_lines(node: SeenNode, picture: NetworkSnapshot) -> Text:
    """Return what others say of a node that does not answer."""
    names = {one.key: one.name for one in picture.nodes}
    lines = [f"{node.name}  {_state(node, picture)}", f"address {node.address or 'unknown'}: {node.problem}", ""]
    for teller, word in node.told:
        link = "linked to it" if word.connected else f"not linked to it ({word.problem or 'no reason known'})"
        heard = f", newest mask of its round {word.round}" if word.HasField("round") else ""
        lines.append(f"{names.get(teller, teller[:8])}: {link}{heard}")
    return Text("\n".join(clean(line, 300) for line in lines))


def picture_as_dict(picture: NetworkSnapshot) -> dict[str, Any]:
    """Return the picture for scripts: nodes with their status (null without answer), and links as pairs of keys."""
    nodes = [
        {
            "key": node.key,
            "name": node.name,
            "address": node.address,
            "problem": node.problem,
            "status": None if node.reply is None else as_dict(node.reply),
        }
        for node in picture.nodes
    ]
    return {"run_id": picture.run_id, "nodes": nodes, "links": sorted(map(list, picture.links))}


def _gain(node: SeenNode) -> float | None:
    points = [] if node.reply is None else _points(node.reply)
    return points[-1][1] - points[0][1] if points else None
