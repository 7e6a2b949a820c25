"""Each task's loss, score and baselines, on data made so that the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dslnode.data.dataset import DataSet, Examples
from dslnode.data.target import Target
from dslnode.errors import DataError, SettingsError
from dslnode.learning.options import UnevenClasses
from dslnode.learning.tasks.anomaly import Anomaly
from dslnode.learning.tasks.chosen import learning_task
from dslnode.learning.tasks.classification import Classification
from dslnode.learning.tasks.multilabel import MultiLabel
from dslnode.learning.tasks.regression import Forecast, Regression
from dslnode.learning.tasks.task import Array, LearningTask

RANDOM = np.random.default_rng(5)
INPUTS = RANDOM.normal(size=(400, 4)).astype(np.float32)


def data_set(
    inputs: Array, *, labels: Array | None = None, values: Array | None = None, target: Target | None = None
) -> DataSet:
    """Return a data set whose last quarter is held out."""
    labels = np.zeros(len(inputs), np.int64) if labels is None else labels
    values = None if values is None else values.astype(np.float32)
    whole = Examples(inputs, labels, values=values)
    cut = 3 * len(inputs) // 4
    train, held_out = whole.take(np.arange(cut)), whole.take(np.arange(cut, len(inputs)))
    return DataSet(train, held_out, max(2, int(labels.max()) + 1), "made up", target or Target())


def labelled(counts: tuple[int, ...]) -> DataSet:
    labels = np.concatenate([np.full(count, label) for label, count in enumerate(counts)])
    inputs = np.repeat(labels[:, None], 2, axis=1).astype(np.float32)
    examples = Examples(inputs, labels)
    return DataSet(examples, examples, len(counts), "classes")


def scores(task: LearningTask, data: DataSet) -> dict[str, float]:
    assert data.held_out is not None
    return {each.name: each.score for each in task.baselines(data.train, data.held_out)}


def test_even_classes_are_judged_by_plain_accuracy_and_its_loss_is_plain() -> None:
    task = Classification(labelled((10, 20)))
    outputs, targets = torch.randn(8, 2, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1] * 4)
    assert task.score_name == "accuracy"
    assert torch.equal(task.loss(outputs, outputs, targets), torch.nn.functional.cross_entropy(outputs, targets))
    assert task.score(np.array([0, 0, 0]), np.array([0, 0, 1])) == 2 / 3


def test_uneven_classes_count_alike_in_loss_and_score() -> None:
    task = Classification(labelled((30, 10)))
    assert task.score_name == "balanced accuracy"
    assert task.score(np.zeros(40, np.int64), np.array([0] * 30 + [1] * 10)) == 0.5
    unsure = torch.zeros(400, 2, requires_grad=True)
    task = Classification(labelled((300, 100)))
    task.loss(unsure, unsure, torch.tensor([0] * 300 + [1] * 100)).backward()
    assert unsure.grad is not None
    pulls = unsure.grad.sum(dim=0)
    assert pulls.abs().max() < 0.01, "outputs that are alike for all classes need no change, however common a class is"


def test_by_frequency_uneven_classes_are_answered_with_the_prior_and_judged_by_plain_accuracy() -> None:
    data = labelled((30, 10))
    alike, task = Classification(data), Classification(data, "by_frequency")
    assert task.score_name == "accuracy"
    assert task.score(np.zeros(40, np.int64), data.train.labels) == 0.75
    assert task.chance(0.9, np.array([0] * 98 + [1] * 2)) == pytest.approx(0.032)
    outputs = torch.tensor([[0.0, 0.5], [0.0, 2.0]])
    assert alike.predictions(outputs, outputs).tolist() == [1, 1]
    assert task.predictions(outputs, outputs).tolist() == [0, 1], "a class that is three times as frequent wins a doubt"
    centre, scale = task.original_units()
    assert torch.equal((centre + scale * outputs).argmax(dim=1), task.predictions(outputs, outputs))
    assert centre.tolist() == pytest.approx(np.log([31 / 42, 11 / 42]))
    targets = torch.tensor([0, 1])
    assert torch.equal(task.loss(outputs, outputs, targets), alike.loss(outputs, outputs, targets))
    assert scores(task, data)["majority"] == 0.75 > scores(alike, data)["majority"]


def test_even_classes_are_the_same_by_frequency() -> None:
    task, outputs = Classification(labelled((10, 20)), "by_frequency"), torch.tensor([[0.0, 0.1]])
    assert task.predictions(outputs, outputs).tolist() == [1]
    assert [float(part) for part in task.original_units()] == [0.0, 1.0]


@pytest.mark.parametrize("uneven_classes", ["alike", "by_frequency"])
def test_tasks_of_all_kinds_are_made_of_the_data_alone_and_classification_by_the_setting(
    uneven_classes: UnevenClasses,
) -> None:
    own = labelled((30, 10))
    name = {"alike": "balanced accuracy", "by_frequency": "accuracy"}[uneven_classes]
    assert learning_task(own, uneven_classes).score_name == name
    numbers = data_set(INPUTS, values=INPUTS[:, :1], target=Target(task=f"{__name__}:Least"))
    assert learning_task(numbers, uneven_classes).score_name == "negative largest error"


def test_a_class_that_a_node_lacks_does_not_make_its_classes_uneven() -> None:
    data = labelled((10, 10))
    assert Classification(DataSet(data.train, None, 5, "three more elsewhere")).score_name == "accuracy"


def test_chance_grows_with_fewer_examples_of_the_rarest_class() -> None:
    task = Classification(labelled((30, 10)))
    many, few = np.array([0] * 50 + [1] * 50), np.array([0] * 98 + [1] * 2)
    assert task.chance(0.9, many) == pytest.approx(0.032)
    assert task.chance(0.9, few) > 3 * task.chance(0.9, many)


def test_classification_is_compared_with_the_majority_and_a_line() -> None:
    labels = (INPUTS[:, 0] + INPUTS[:, 1] > 0).astype(np.int64)
    data = data_set(INPUTS, labels=labels)
    found = scores(Classification(data), data)
    assert found["linear"] > 0.95
    assert found["majority"] < 0.65


def test_the_linear_baseline_takes_inputs_wider_than_examples() -> None:
    wide = RANDOM.normal(size=(60, 2_000)).astype(np.float32)
    data = data_set(wide, labels=(wide[:, :1_000].sum(axis=1) > 0).astype(np.int64))
    assert 0 <= scores(Classification(data), data)["linear"] <= 1


def test_regression_without_a_scale_is_standardised_and_judged_in_its_unit() -> None:
    values = 1_000 + 250 * (INPUTS[:, :1] - INPUTS[:, 1:2])
    data = data_set(INPUTS, values=values, target=Target(task="regression", units=("rpm",)))
    task = Regression(data)
    targets = task.targets(data.train)
    assert targets.mean() == pytest.approx(0, abs=1e-4)
    assert targets.std() == pytest.approx(1, abs=1e-4)
    off = task.judge(targets + 0.1, targets)
    assert off.value("MAE") == pytest.approx(0.1 * values[: len(targets)].std(), rel=1e-3)
    centre, scale = task.original_units()
    assert torch.allclose(centre + scale * torch.from_numpy(targets), torch.from_numpy(data.train.targets), atol=0.1)
    found = scores(task, data)
    assert found["linear"] > 0.99
    assert found["mean"] <= 0


def test_a_target_with_a_scale_stays_as_it_is() -> None:
    target = Target(task="regression", centre=(100.0,), scale=(5.0,))
    data = data_set(INPUTS, values=INPUTS[:, :1], target=target)
    task = Regression(data)
    assert np.array_equal(task.targets(data.train), data.train.targets)
    assert task.judge(task.targets(data.train) + 1, task.targets(data.train)).value("MAE") == pytest.approx(5)
    assert [float(part) for part in task.original_units()] == [100.0, 5.0]


def test_a_forecast_is_compared_with_the_last_value() -> None:
    walk = np.cumsum(RANDOM.normal(size=500))
    windows = np.stack([walk[i : i + 8] for i in range(490)]).astype(np.float32)[:, :, None]
    ahead = np.stack([walk[i + 8 : i + 10] for i in range(490)])
    target = Target(task="forecast", centre=(0.0, 0.0), scale=(1.0, 1.0), last_values=(7, 7))
    data = data_set(windows, values=ahead, target=target)
    found = scores(Forecast(data), data)
    assert found["last value"] > found["mean"]
    assert found["last value"] > 0.5


def test_several_labels_need_zeros_and_ones_and_weigh_rare_ones_more() -> None:
    flags = np.stack([INPUTS[:, 0] > 0, INPUTS[:, 1] > 1.2], axis=1).astype(np.float32)
    data = data_set(INPUTS, values=flags, target=Target(task="multilabel", names=("hot", "loud")))
    task = MultiLabel(data)
    unsure = torch.zeros(len(data.train), 2, requires_grad=True)
    task.loss(unsure, unsure, torch.from_numpy(task.targets(data.train))).backward()
    assert unsure.grad is not None
    assert torch.allclose(unsure.grad.sum(dim=0), torch.zeros(2), atol=1e-6)
    found = scores(task, data)
    assert found["majority"] == 0.5
    assert found["linear"] > 0.8
    with pytest.raises(DataError, match="0 and 1"):
        MultiLabel(data_set(INPUTS, values=2 * flags))


def test_anomalies_are_not_trained_on_and_scored_where_they_are_labelled() -> None:
    labels = np.zeros(400, np.int64)
    labels[::10] = 1
    data = data_set(INPUTS + 9 * labels[:, None].astype(np.float32), labels=labels, target=Target(task="anomaly"))
    task = Anomaly(data)
    assert task.score_name == "AUROC"
    inputs, targets = torch.from_numpy(data.train.images), torch.from_numpy(task.targets(data.train))
    outputs = torch.zeros_like(inputs, requires_grad=True)
    task.loss(outputs, inputs, targets).backward()
    assert outputs.grad is not None
    assert not outputs.grad[targets[:, 0] > 0].any()
    assert scores(task, data)["mean"] > 0.99
    assert data.held_out is not None
    errors = task.predictions(torch.zeros(100, 4), torch.from_numpy(data.held_out.images)).numpy()
    found = task.judge(errors, task.targets(data.held_out))
    assert found.value("anomalies above threshold") == 1
    assert found.value("average precision") > 0.99


def test_anomalies_without_labels_are_scored_by_what_is_explained() -> None:
    data = data_set(INPUTS, target=Target(task="anomaly"))
    task = Anomaly(data)
    assert (task.score_name, data.output_count) == ("explained variance", 4)
    assert data.held_out is not None
    inputs, targets = torch.from_numpy(data.held_out.images), task.targets(data.held_out)
    assert task.score(task.predictions(inputs, inputs).numpy(), targets) == 1
    assert scores(task, data)["mean"] == pytest.approx(0, abs=0.1)
    assert task.judge(task.predictions(inputs * 0, inputs).numpy(), targets).value("above threshold") <= 0.02


def test_anomalies_may_be_steps_that_are_not_foreseen() -> None:
    data = data_set(INPUTS, values=INPUTS[:, :2], target=Target(task="anomaly"))
    task, wanted = Anomaly(data), torch.from_numpy(INPUTS[:300, :2])
    targets = torch.from_numpy(task.targets(data.train))
    assert float(task.loss(wanted, torch.from_numpy(INPUTS[:300]), targets)) == 0
    assert task.score(wanted.numpy(), targets.numpy()) == 1


class Least(LearningTask):
    """The largest error, of which less is better."""

    metric_name, higher_is_better = "largest error", False

    def loss(self, outputs: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs - targets).abs().max() + 0 * inputs.sum()

    def metric(self, predictions: Array, targets: Array) -> float:
        return float(np.abs(predictions - targets).max())


def broken(_data: DataSet) -> LearningTask:
    raise RuntimeError("no luck")


def test_a_task_of_ones_own_is_built_by_name_and_turned_so_that_higher_is_better() -> None:
    data = data_set(INPUTS, values=INPUTS[:, :1], target=Target(task=f"{__name__}:Least"))
    task = learning_task(data)
    assert task.score_name == "negative largest error"
    assert task.score(np.zeros((2, 1)), np.array([[1.0], [-3.0]])) == -3


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("regresion", "did you mean regression"),
        (f"{__name__}:broken", "making it failed: RuntimeError: no luck"),
        ("builtins:dict", "making it failed"),
    ],
)
def test_a_task_that_cannot_be_is_refused_in_words(name: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        learning_task(data_set(INPUTS, target=Target(task=name)))


def test_numbers_are_needed_where_numbers_are_learned() -> None:
    with pytest.raises(DataError, match="needs values"):
        learning_task(data_set(INPUTS, target=Target(task="regression")))


def test_chance_explains_less_of_a_better_fit_and_of_more_examples() -> None:
    data = data_set(INPUTS, values=INPUTS[:, :1], target=Target(task="regression"))
    task = Regression(data)
    hundred, more = np.zeros((100, 1)), np.zeros((400, 1))
    assert task.chance(0.0, hundred) == pytest.approx(0.016)
    assert task.chance(0.9, hundred) == pytest.approx(0.0016)
    assert task.chance(0.0, more) == pytest.approx(0.008)
    assert task.chance(1.5, hundred) == 0
