"""Says once that a node is no better than a trivial predictor, and once that it is again."""

from __future__ import annotations

from dslnode.learning.results import HeldOut
from dslnode.telemetry.logs import Logger

PATIENCE = 3
"""Measurements in a row: a model that has hardly begun, or an unlucky one, is nothing to say."""


class TrivialWatch:
    """Follows the measurements of one node."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._in_a_row = 0

    def measured(self, held_out: HeldOut) -> None:
        """Take in a measurement on held-out data."""
        unbeaten = held_out.unbeaten
        if unbeaten is None:
            if self._in_a_row >= PATIENCE:
                self._log.info("better than trivial again", score=round(held_out.score, 4), score_name=held_out.name)
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row == PATIENCE:
            self._log.warning(
                "no better than a trivial predictor",
                score=round(held_out.score, 4),
                score_name=held_out.name,
                predictor=unbeaten.name,
                predictor_score=round(unbeaten.score, 4),
                remedy="look at the data with dslnode doctor: too few examples, a wrong target, or inputs that say "
                "nothing about it",
            )
