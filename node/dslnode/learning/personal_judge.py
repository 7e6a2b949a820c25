"""Judges a node's personal model on held-out examples: its score, all figures, and what an aggregation did to it."""

from __future__ import annotations

from collections.abc import Callable

from dslnode.data.dataset import Examples
from dslnode.learning.batches import ExampleTensors
from dslnode.learning.collaboration import Verdict, accept_if_not_worse
from dslnode.learning.evaluation import EVALUATION_BATCH, Answers, evaluate, never
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.personal_form import PersonalForm
from dslnode.learning.results import HeldOut
from dslnode.learning.tasks.task import LearningTask

JUDGED_EXAMPLES = 256
"""How many held-out examples, at most, show what aggregation did to the personal model."""


class PersonalJudge:
    """Measures what a network answers to held-out examples in a personal form.

    It keeps the examples alone: the network and the form are those of the moment.
    """

    def __init__(self, examples: ExampleTensors, task: LearningTask) -> None:
        self._examples = examples
        self._task = task

    @classmethod
    def of(cls, held_out: Examples, task: LearningTask) -> PersonalJudge:
        """Return one for all the examples; nothing is copied."""
        return cls(ExampleTensors.of(held_out, task.targets(held_out)), task)

    def __len__(self) -> int:
        return len(self._examples)

    def thinned(self, count: int) -> PersonalJudge:
        """Return one for at most ``count`` of the examples, spread evenly over all."""
        return PersonalJudge(self._examples.thinned(count), self._task)

    def answers(self, network: FrozenNetwork, form: PersonalForm, stop: Callable[[], bool] = never) -> Answers | None:
        """Return the model's answers to all examples; None if ``stop`` ends it early."""
        return evaluate(network, form.factors, self._task, self._examples.parts(EVALUATION_BATCH), stop)

    def score(self, network: FrozenNetwork, form: PersonalForm, stop: Callable[[], bool]) -> float | None:
        """Return the model's score, higher is better; None if ``stop`` ends it early."""
        answers = self.answers(network, form, stop)
        return None if answers is None else self._score(answers)

    def judge(self, network: FrozenNetwork, form: PersonalForm, stop: Callable[[], bool]) -> HeldOut | None:
        """Return the model's score with all other figures; None if ``stop`` ends it early."""
        answers = self.answers(network, form, stop)
        if answers is None:
            return None
        return HeldOut(
            name=self._task.score_name,
            score=self._score(answers),
            judgement=self._task.judge(answers.predictions, answers.targets),
        )

    def verdict(self, before: Answers, network: FrozenNetwork, form: PersonalForm, weight: float) -> Verdict:
        """Return whether the model is not worse than the answers ``before`` an aggregation.

        ``weight`` is the collaboration weight so far.
        """
        after = self.answers(network, form)
        assert after is not None, "nothing stops it"
        former, latter = self._score(before), self._score(after)
        return accept_if_not_worse(former, latter, chance=self._task.chance(former, before.targets), weight=weight)

    def _score(self, answers: Answers) -> float:
        return self._task.score(answers.predictions, answers.targets)
