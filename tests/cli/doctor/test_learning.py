"""Data, model and processor: what the checks make of the facts, and what the trial does with a learner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dslnode.cli.doctor import learning
from dslnode.cli.doctor.findings import Level, worst_level
from dslnode.cli.doctor.learning import (
    PEAK_BYTES_PER_WEIGHT,
    TRIAL_PEER,
    DataFacts,
    MemoryFacts,
    RoundSettings,
    TorchFacts,
    Trial,
    check_data,
    check_memory,
    check_round,
    check_torch,
    learning_seconds,
    try_rounds,
)
from dslnode.config.settings import Settings
from dslnode.data.dataset import load_data_set
from dslnode.learning.learner import Learner
from dslnode.learning.models import mlp
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.learning.results import Baseline
from dslnode.protocol.messages import MaskMessage

GOOD = DataFacts("digits", {0: 10, 1: 12}, held_out=5, class_count=2)
TORCH = TorchFacts("2.13.0+cpu", None, cuda_usable=False, threads=1, cores=4)
TRIAL = Trial(0.01, 0.02, 0.03, 0.5, 1_000_000, 1_000, "ab", {"keep": 1_000, "sign": 250}, 8_000)
SCHEDULE = RoundSettings(local_steps=30, evaluate_every=5, peers=2, round_deadline=10)
OK, WARNING, PROBLEM = Level.OK, Level.WARNING, Level.PROBLEM


@pytest.mark.parametrize(
    ("data", "expected", "message"),
    [
        (GOOD, OK, "22 examples by class (0: 10, 1: 12), 5 held out"),
        (replace(GOOD, names=("idle", "worn")), OK, "22 examples by class (idle: 10, worn: 12), 5 held out"),
        (replace(GOOD, counts={0: 1, 1: 12}, names=("idle", "worn")), WARNING, "of class idle"),
        (replace(GOOD, counts={3: 9}), WARNING, "only one class"),
        (replace(GOOD, held_out=0), WARNING, "no score"),
        (replace(GOOD, counts={0: 4, 1: 9}), WARNING, "fewer than 5 examples of class 0"),
        (replace(GOOD, counts={0: 5, 1: 51}), WARNING, "10 times"),
    ],
)
def test_data(data: DataFacts, expected: Level, message: str) -> None:
    found = check_data(data)
    assert worst_level(found) == expected
    assert any(message in finding.what for finding in found)


def test_torch() -> None:
    assert worst_level(check_torch(TORCH)) == OK
    assert worst_level(check_torch(replace(TORCH, threads=5))) == WARNING
    assert worst_level(check_torch(replace(TORCH, cuda_build="13.0"))) == WARNING
    assert worst_level(check_torch(replace(TORCH, cuda_build="13.0", cuda_usable=True))) == OK


def test_memory_is_estimated_before_and_measured_after_the_trial() -> None:
    enough = MemoryFacts(used_bytes=500_000, available_bytes=10_000_000, weights=1_000)
    assert check_memory(enough, TRIAL).level == OK
    assert "1.0 MB at the peak" in check_memory(enough, TRIAL).what
    assert check_memory(replace(enough, available_bytes=600_000), TRIAL).level == WARNING
    short = replace(enough, available_bytes=PEAK_BYTES_PER_WEIGHT * 1_000 - 1)
    assert short.is_short
    assert check_memory(short, None).level == PROBLEM


def test_a_round_is_estimated_in_seconds_and_bits() -> None:
    assert learning_seconds(TRIAL, SCHEDULE) == pytest.approx(0.3 + 0.02 + 0.03 + 0.1)
    seconds, bits = check_round(TRIAL, SCHEDULE)
    assert "about 0.45 s (30 steps of 10.0 ms)" in seconds.what
    assert "keep masks 1.0 kbit, sign masks 250 bit per round and neighbour at most" in bits.what
    assert "float32 26 times that; with 2 neighbours up to 5.6 kbit/s" in bits.what
    assert worst_level([seconds, bits]) == OK


def test_a_round_longer_than_others_wait_is_a_warning() -> None:
    found = check_round(replace(TRIAL, step_seconds=1.0), SCHEDULE)
    assert worst_level(found) == WARNING
    assert "--round-deadline to 60" in next(finding.fix for finding in found if finding.fix)


def test_a_trial_makes_the_sign_masks_that_it_times() -> None:
    """Real steps, real sign masks, real aggregation."""
    data = load_data_set("digits")
    learner = Learner(
        mlp(data.input_shape, data.class_count), data, TrainingOptions(local_steps=1), InitializationOptions(1, 2)
    )

    trial = try_rounds(learner, Settings(name="a", seed=1))

    assert trial.signs_seconds > 0
    assert isinstance(learner.make_steps(2, [TRIAL_PEER])[TRIAL_PEER], MaskMessage), "it has a neighbour"


def test_what_is_to_beat_is_told_and_inputs_that_say_nothing_are_a_warning() -> None:
    majority, linear = Baseline("majority", 0.6, trivial=True), Baseline("linear", 0.9, trivial=False)
    [told] = learning.check_baselines("accuracy", (majority, linear))
    assert (told.level, told.what) == (OK, "accuracy on held-out data; to beat: majority 60.0 %, linear 90.0 %")
    [warned] = learning.check_baselines("accuracy", (majority, replace(linear, score=0.6)))
    assert warned.level is WARNING
    assert learning.check_baselines("mine", ()) == []


def test_without_classes_none_are_counted() -> None:
    [only] = learning.check_data(DataFacts("pump", {0: 80}, held_out=20, class_count=2, task="regression"))
    assert (only.level, only.what) == (OK, "pump: 80 examples for regression, 20 held out")
