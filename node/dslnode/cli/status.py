"""A node's status on a terminal or as JSON: what ``dslnode status`` prints."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from dslnode.addresses import check_address
from dslnode.cli.formatting import percent
from dslnode.errors import SettingsError
from dslnode.telemetry.score_status import held_out_score, score_text, unbeaten
from dslnode.telemetry.status_json import as_dict
from dslnode.transport.client import ask_status
from dslnode.transport.handshake import clean
from dslnode.v1 import node_pb2 as pb

MAX_TEXT = 300
MAX_CLASSES = 20


def show_status(address: str, *, watch: bool, as_json: bool, timeout: float, ticket: Path | None = None) -> None:
    """Print the status once, or every second until interrupted. Raises ``UnreachableError``, ``SettingsError``."""
    checked_address(address)

    def ask() -> pb.StatusReply:
        return ask_status(address, timeout, ticket)

    first = ask()
    if as_json:
        _print_json(first, ask, watch=watch)
        return
    console = Console()
    if not watch:
        console.print(with_judgement(first))
        return
    with Live(with_judgement(first), console=console, screen=False, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(with_judgement(ask()), refresh=True)


def checked_address(address: str, option: str = "--address") -> str:
    """Return the address given to a command by an option; ``SettingsError`` if it is malformed."""
    try:
        return check_address(address)
    except ValueError as error:
        raise SettingsError(f"{option}: {error}") from error


def as_table(reply: pb.StatusReply) -> RenderableType:
    """Return the reply as a table. Names and problems come from other nodes: they are never taken as markup."""
    head = (
        f"[bold]{printable(reply.name)}[/]  round {reply.round}, {printable(reply.phase)}, "
        f"up {reply.uptime_seconds:,.0f} s\n"
        f"{_score(reply)}   density {reply.density:.3f} of {reply.weights:,} weights\n"
        f"masks sent {reply.payload_bits_sent:,} bits, received {reply.payload_bits_received:,} bits "
        f"(float32 would have sent {reply.float32_bits_sent:,})\n"
        f"wire sent {reply.wire_bytes_sent:,} bytes, received {reply.wire_bytes_received:,} bytes\n"
        f"{_usage(reply.usage)}"
    )
    table = Table(box=None, pad_edge=False)
    for column in ("neighbour", "address", "link", "round", "stale", "agrees", "bits sent", "bits received"):
        is_text = column in {"neighbour", "address", "link"}
        table.add_column(column, justify="left" if is_text else "right", overflow="fold" if is_text else "ellipsis")
    for neighbour in reply.neighbours:
        table.add_row(*map(printable, _row(neighbour)))
    down = [neighbour for neighbour in reply.neighbours if neighbour.problem and not neighbour.connected]
    return Group(head, table, *(f"{printable(peer.address or peer.name)}: {printable(peer.problem)}" for peer in down))


def printable(text: str) -> str:
    """Return text of another node for the terminal: without markup and control characters, cut to ``MAX_TEXT``."""
    return escape(clean(text, MAX_TEXT))


def _row(neighbour: pb.NeighbourStatus) -> tuple[str, ...]:
    return (
        neighbour.name if neighbour.name != neighbour.address else "-",
        neighbour.address,
        "up" if neighbour.connected else "down",
        str(neighbour.round) if neighbour.HasField("round") else "-",
        str(neighbour.staleness) if neighbour.HasField("staleness") else "-",
        f"{neighbour.agreement:.3f}" if neighbour.HasField("agreement") else "-",
        f"{neighbour.payload_bits_sent:,}",
        f"{neighbour.payload_bits_received:,}",
    )


def _usage(usage: pb.Usage) -> str:
    cap = f" of {usage.cap_bytes:,}" if usage.HasField("cap_bytes") else ""
    interval = f", an exchange every {usage.interval_seconds:,.0f} s" if usage.interval_seconds else ""
    return (
        f"this {escape(usage.cap_period)} (UTC) {usage.used_bytes:,}{cap} bytes both ways, "
        f"{_forecast(usage)}; masks skipped {usage.exchanges_skipped:,}{interval}"
    )


def _forecast(usage: pb.Usage) -> str:
    """Return what is expected of the whole period; a node foretells nothing in its first minutes."""
    return f"forecast {usage.forecast_bytes:,} bytes" if usage.forecast_bytes else "no forecast yet"


def _score(reply: pb.StatusReply) -> str:
    name, score = held_out_score(reply)
    field = "train_score" if reply.HasField("train_score") else "train_accuracy"
    train = getattr(reply, field) if reply.HasField(field) else None
    form = f" ({printable(reply.form)})" if reply.form else ""
    return f"{printable(name)} {score_text(name, score)} held-out{form}, {score_text(name, train)} train"


def with_judgement(reply: pb.StatusReply) -> RenderableType:
    """Return the reply as a table, and below it what held-out answers say."""
    return Group(as_table(reply), *judgement_lines(reply))


def judgement_lines(reply: pb.StatusReply) -> list[str]:
    """Return lines about the held-out answers; none before the first measurement."""
    lines = []
    figures = (f"{each.name} {each.value:.4g} {each.unit}".strip() for each in reply.figures)
    if reply.figures:
        lines.append("figures " + ", ".join(figures))
    if reply.baselines:
        of_baselines = (f"{each.name} {score_text(reply.score_name, each.score)}" for each in reply.baselines)
        lines.append("baselines " + ", ".join(of_baselines))
    if reply.HasField("best"):
        lines.append(f"best {score_text(reply.score_name, reply.best.score)} in round {reply.best.round}, kept")
    if reply.HasField("alone_score"):
        gain = score_text(reply.score_name, reply.score - reply.alone_score)
        lines.append(f"alone {score_text(reply.score_name, reply.alone_score)}, neighbours bring {gain}")
    worst = unbeaten(reply)
    if worst is not None:
        lines.append(f"NO BETTER than a trivial predictor: {worst.name}")
    lines += [_class_line(reply, place) for place in range(min(len(reply.classes), MAX_CLASSES))]
    return [printable(line) for line in lines]


def _class_line(reply: pb.StatusReply, place: int) -> str:
    found = reply.classes[place]
    precision = percent(found.precision if found.HasField("precision") else None)
    line = f"class {found.name}: {percent(found.recall)} of {found.examples:,} found, {precision} of its answers right"
    return line + _mistaken(reply, place)


def _mistaken(reply: pb.StatusReply, place: int) -> str:
    """Return for which class the examples of one are mistaken most often, where the confusion matrix is known."""
    count = len(reply.classes)
    row = dict(enumerate(reply.confusion[place * count : (place + 1) * count]))
    row.pop(place, None)
    other = max(row, key=row.__getitem__, default=place)
    return f", {row[other]:,} taken for {reply.classes[other].name}" if row.get(other) else ""


def _print_json(first: pb.StatusReply, ask: Callable[[], pb.StatusReply], *, watch: bool) -> None:
    print(json.dumps(as_dict(first), indent=None if watch else 2), flush=True)
    while watch:
        time.sleep(1)
        print(json.dumps(as_dict(ask())), flush=True)
