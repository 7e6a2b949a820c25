"""What held-out examples say of a personal model, and of what an aggregation did to it."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.data.dataset import Examples, load_data_set
from dslnode.data.partition import partition
from dslnode.learning.collaboration import DECREASE
from dslnode.learning.evaluation import never
from dslnode.learning.learner import Learner
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_form import PersonalForm
from dslnode.learning.personal_judge import PersonalJudge


@pytest.fixture(scope="module")
def learner() -> Learner:
    learner = Learner("mlp", partition(load_data_set("digits"), seed=1), TrainingOptions(local_steps=20))
    for _ in range(3):
        learner.train_round()
    return learner


@pytest.fixture(scope="module")
def held_out(learner: Learner) -> Examples:
    assert learner.data.held_out is not None
    return learner.data.held_out


def test_score_and_figures_are_of_all_examples(learner: Learner, held_out: Examples) -> None:
    judge = PersonalJudge.of(held_out, learner.task)
    answers = judge.answers(learner.network, learner.form)
    assert answers is not None
    assert np.array_equal(answers.targets, held_out.labels)
    found = judge.judge(learner.network, learner.form, never)
    assert found is not None
    assert found.score == judge.score(learner.network, learner.form, never) == learner.score()
    assert found.judgement.value("accuracy") == found.score


def test_there_is_no_score_if_it_is_stopped(learner: Learner, held_out: Examples) -> None:
    judge = PersonalJudge.of(held_out, learner.task)
    assert judge.score(learner.network, learner.form, lambda: True) is None
    assert judge.judge(learner.network, learner.form, lambda: True) is None


def test_a_thinned_judge_looks_at_as_many(learner: Learner, held_out: Examples) -> None:
    few = PersonalJudge.of(held_out, learner.task).thinned(20)
    answers = few.answers(learner.network, learner.form)
    assert answers is not None
    assert len(few) == len(answers.targets) == 20


def test_only_what_is_worse_than_before_is_refused(learner: Learner, held_out: Examples) -> None:
    judge = PersonalJudge.of(held_out, learner.task)
    untrained = PersonalForm(learner.initial_mask)
    before, worse = (judge.answers(learner.network, form) for form in (learner.form, untrained))
    assert before is not None
    assert worse is not None
    assert judge.verdict(before, learner.network, learner.form, 0.5).accepted
    assert judge.verdict(worse, learner.network, learner.form, 0.5).accepted
    refused = judge.verdict(before, learner.network, untrained, 0.5)
    assert (refused.accepted, refused.weight) == (False, 0.5 * DECREASE)
