"""What doctor's trial does with a learner: real steps, real sign masks, real aggregation."""

from __future__ import annotations

from dslnode.cli.doctor.learning_facts import try_rounds
from dslnode.config.settings import Settings
from dslnode.data.dataset import load_data_set
from dslnode.learning.learner import Learner
from dslnode.learning.models import mlp
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.protocol.messages import MaskMessage


def test_a_trial_makes_the_sign_masks_that_it_times() -> None:
    data = load_data_set("digits")
    learner = Learner(
        mlp(data.input_shape, data.class_count), data, TrainingOptions(local_steps=1), InitializationOptions(1, 2)
    )

    trial = try_rounds(learner, Settings(name="a", seed=1))

    assert trial.signs_seconds > 0
    assert isinstance(learner.make_steps(2, ["doctor"])["doctor"], MaskMessage), "there is a neighbour to make them for"
