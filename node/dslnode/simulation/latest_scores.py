"""The newest score of every honest node, and when their mean was what a user asks for."""

from __future__ import annotations

from collections.abc import Iterable

from dslnode.simulation.build import PreparedSimulation
from dslnode.simulation.records import RoundRecord


class LatestScores:
    """The newest scores of the nodes that are honest and hold out examples: only these have one.

    ``reached_by`` is the record that first made their mean as high as ``plan.until_score``; None before.
    """

    def __init__(self, prepared: PreparedSimulation, records: Iterable[RoundRecord] = ()) -> None:
        self._wanted = prepared.plan.until_score
        self._judged = prepared.judged
        self._scores: dict[int, float] = {}
        self._sum = 0.0
        self.reached_by: RoundRecord | None = None
        for record in records:
            self.add(record)

    def add(self, record: RoundRecord) -> None:
        """Take in what a node measured, if it did."""
        if record.score is not None and record.node in self._judged:
            self._sum += record.score - self._scores.get(record.node, 0.0)
            self._scores[record.node] = record.score
            if self.reached_by is None and self._is_reached():
                self.reached_by = record

    def _is_reached(self) -> bool:
        """Return whether all of them have a score, and the mean is high enough."""
        complete = 0 < len(self._scores) == len(self._judged)
        return self._wanted is not None and complete and self._sum >= self._wanted * len(self._judged)
