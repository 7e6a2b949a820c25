"""What the nodes of a testbed have logged last: their rounds and scores, and why one ended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from dslnode.cli.formatting import si_amount
from dslnode.telemetry.score_status import score_text

TAIL_BYTES = 16_384
LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far one node is: finished rounds, its newest held-out score with its name, and mask bits sent so far."""

    round: int = 0
    score: float | None = None
    score_name: str = ""
    bits_sent: int = 0


def latest_round(log: Path) -> dict[str, Any]:
    """Return the log line of the last finished round; empty before the first."""
    rounds = _rounds(log)
    return rounds[-1] if rounds else {}


def progress_of(log: Path) -> Progress:
    """Return what the end of a node's log says of its rounds."""
    rounds = _rounds(log)
    if not rounds:
        return Progress()
    measured: dict[str, Any] = next((event for event in reversed(rounds) if event.get("score") is not None), {})
    return Progress(
        round=rounds[-1]["round"],
        score=measured.get("score"),
        score_name=measured.get("score_name", ""),
        bits_sent=rounds[-1]["bits_sent"],
    )


def progress_line(found: Sequence[Progress]) -> str:
    """Return rounds, scores and traffic of all nodes in one line."""
    first, last = min(each.round for each in found), max(each.round for each in found)
    line = f"round {last}" if first == last else f"rounds {first} to {last}"
    scores = [each.score for each in found if each.score is not None]
    if scores:
        name = next(each.score_name for each in found if each.score is not None)
        line += f", {name} {score_text(name, fmean(scores))} in the mean, {score_text(name, min(scores))} at worst"
    return f"{line}, {si_amount(sum(each.bits_sent for each in found), 'bit')} sent"


def last_words(log: Path, since: int = 0) -> str:
    """Return the last line of a log after ``since`` bytes, for a node that has ended; empty if it wrote none."""
    lines = _tail(log, since).strip().splitlines()
    return "".join(c if c.isprintable() else " " for c in lines[-1][:LONGEST]) if lines else ""


def _rounds(log: Path) -> list[dict[str, Any]]:
    return [event for event in _events(log) if event.get("event") == "round"]


def _events(log: Path) -> Iterator[dict[str, Any]]:
    for line in _tail(log).splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # the first line of the tail may be cut
            continue
        if isinstance(event, dict):
            yield event


def _tail(log: Path, since: int = 0) -> str:
    try:
        with log.open("rb") as source:
            source.seek(max(since, os.fstat(source.fileno()).st_size - TAIL_BYTES))
            return source.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
