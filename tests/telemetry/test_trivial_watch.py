"""When a node says that it is no better than a trivial predictor."""

from __future__ import annotations

from unittest.mock import Mock

from dslnode.learning.results import Baseline
from dslnode.telemetry.trivial_watch import PATIENCE, TrivialWatch
from tests.learning.data_sets import held_out

MEAN = Baseline("mean", 0.0, trivial=True)
LINEAR = Baseline("linear", 0.9, trivial=False)


def test_it_is_said_once_after_some_patience_and_taken_back_once() -> None:
    log = Mock()
    watch = TrivialWatch(log)
    for _ in range(PATIENCE + 4):
        watch.measured(held_out(-0.2, MEAN, LINEAR, name="R2"))
    [said] = log.warning.call_args_list
    assert said.args == ("no better than a trivial predictor",)
    assert (said.kwargs["score"], said.kwargs["predictor"], said.kwargs["predictor_score"]) == (-0.2, "mean", 0.0)
    for _ in range(3):
        watch.measured(held_out(0.4, MEAN, LINEAR, name="R2"))
    assert len(log.info.call_args_list) == 1


def test_a_model_that_comes_through_in_time_is_nothing_to_say() -> None:
    log = Mock()
    watch = TrivialWatch(log)
    for score in (-0.2, -0.1, 0.5, 0.0, -0.3, 0.1):
        watch.measured(held_out(score, MEAN, name="R2"))
    assert not log.warning.called
    assert not log.info.called


def test_without_a_trivial_baseline_there_is_nothing_to_beat() -> None:
    assert held_out(0.1, LINEAR).unbeaten is None
    assert held_out(0.0, MEAN, LINEAR).unbeaten == MEAN
    assert held_out(0.1, MEAN, LINEAR).unbeaten is None
