"""What a simulated node did in each round, as values, and what they say of the whole network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """One node after one round. ``round`` counts the finished ones; ``score`` is None where it was not measured.

    ``seconds`` is virtual time since the beginning, ``round_seconds`` how long the round took. ``staleness`` is the
    mean of the aggregated neighbours, in rounds. ``payload_bits`` and ``wire_bytes`` are all that was sent so far.
    ``loss`` is NaN for methods that do not report it.
    """

    node: int
    round: int
    seconds: float
    round_seconds: float
    score: float | None
    loss: float
    neighbours: int
    staleness: float
    density: float
    payload_bits: int
    wire_bytes: int


@dataclass(frozen=True)
class Reference:
    """Another method that ran on the same plan, for comparison: its name, and every node and round."""

    method: str
    records: Sequence[RoundRecord]


@dataclass(frozen=True, kw_only=True)
class Incidents:
    """What happened beside learning: nodes that left, replicas that were reset, messages that a node refused."""

    departures: int = 0
    resets: int = 0
    refused: int = 0

    def __add__(self, other: Incidents) -> Incidents:
        """Return those of both."""
        return Incidents(
            departures=self.departures + other.departures,
            resets=self.resets + other.resets,
            refused=self.refused + other.refused,
        )


@dataclass(frozen=True, kw_only=True)
class RoundSummary:
    """All nodes that have finished a round: means over them, the worst score, and the seconds of the last one."""

    round: int
    nodes: int
    mean_score: float | None
    worst_score: float | None
    mean_payload_bits: float
    mean_wire_bytes: float
    median_seconds: float
    mean_staleness: float


AND = " and "


def joined(names: Iterable[str]) -> str:
    """Return names of scores, some of them joined before, as one text that has each once."""
    return AND.join(sorted({each for name in names for each in name.split(AND) if each}))


def summaries(records: Iterable[RoundRecord]) -> list[RoundSummary]:
    """Return a summary of every round that any node has finished, in order."""
    by_round: dict[int, list[RoundRecord]] = {}
    for record in records:
        by_round.setdefault(record.round, []).append(record)
    return [_summary(number, by_round[number]) for number in sorted(by_round)]


def _summary(number: int, records: Sequence[RoundRecord]) -> RoundSummary:
    scores = [record.score for record in records if record.score is not None]
    return RoundSummary(
        round=number,
        nodes=len(records),
        mean_score=fmean(scores) if scores else None,
        worst_score=min(scores) if scores else None,
        mean_payload_bits=fmean(record.payload_bits for record in records),
        mean_wire_bytes=fmean(record.wire_bytes for record in records),
        median_seconds=sorted(record.seconds for record in records)[len(records) // 2],
        mean_staleness=fmean(record.staleness for record in records),
    )
