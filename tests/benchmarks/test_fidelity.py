"""The comparison of the simulation with real daemons at tiny size: both runs are measured alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.fidelity import QUICK, Case, FinishedRound, Outcome, compare, outcome_of, run_real, simulate
from dslnode.config.settings import Settings


def rounds_of(*seconds: float, score: float) -> list[FinishedRound]:
    return [
        FinishedRound(seconds=at, score=score, payload_bits=100 * number, wire_bytes=20 * number)
        for number, at in enumerate(seconds, start=1)
    ]


def test_outcomes_are_means_over_nodes_and_rounds() -> None:
    found = outcome_of([rounds_of(5.0, 6.0, 7.0, score=0.5), rounds_of(3.0, 5.0, 7.0, score=0.75)])
    assert found == Outcome(payload_bits=100, wire_bytes=20, score=62.5, rounds_per_minute=45)


def test_differences_of_scores_are_points_and_others_are_parts() -> None:
    real = Outcome(payload_bits=1_000, wire_bytes=200, score=90, rounds_per_minute=50)
    rows = compare(QUICK, real, replace(real, payload_bits=1_040, score=88.5, rounds_per_minute=45))
    differences = {row["figure"]: row["difference"] for row in rows}
    expected = {"payload_bits": 0.04, "wire_bytes": 0, "score": -1.5, "rounds_per_minute": -0.1}
    assert differences == pytest.approx(expected)
    goals = {row["figure"]: row["goal"] for row in rows}
    assert goals == {"payload_bits": 0.05, "wire_bytes": None, "score": 1.0, "rounds_per_minute": 0.2}


class Tiny(Case):
    """A network that is over in seconds."""

    @property
    def settings(self) -> Settings:
        """Few steps, a mask in every round, and otherwise as the benchmark has them.

        A network that settles sends some twenty masks, and a mask that comes a round late on a busy machine changes
        which: two or three more of them are over 5 %.
        """
        return super().settings.model_copy(update={"local_steps": 2, "send_threshold": 0})


@pytest.mark.process
def test_real_daemons_send_the_bits_that_simulated_ones_send() -> None:
    # So many rounds: nodes that dial each other at once repeat the mask that was on its way, once per link
    tiny = Tiny(name="tiny", nodes=2, topology="complete", rounds=60)
    real, simulated = run_real(tiny), simulate(tiny, 0.01)
    assert simulated.payload_bits == pytest.approx(real.payload_bits, rel=0.05)
    assert simulated.wire_bytes == pytest.approx(real.wire_bytes, rel=0.5)
    assert min(real.rounds_per_minute, simulated.rounds_per_minute) > 0
