"""One node's learner: deterministic, resumable to the bit, at home with users' models, clear about what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from bitarray import bitarray, frozenbitarray
from torch import Tensor, nn

from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.partition import partition, split_held_out
from dslnode.errors import ModelError, SettingsError, StateError
from dslnode.learning import masking
from dslnode.learning.export import PersonalModel, bake
from dslnode.learning.learner import Learner
from dslnode.learning.models import cnn, mlp
from dslnode.learning.options import FineTuning, InitializationOptions, TrainingOptions
from dslnode.learning.personal_form import PersonalForm
from dslnode.learning.results import Progress
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.mask import Mask, MaskLayout

PLAN = TrainingOptions(local_steps=3, batch_size=16)
ORIGIN = InitializationOptions(network_seed=1, node_seed=2)
PAPER = replace(
    PLAN, mask_novelty=False, signed_scores=False, mean_ema_decay=0.0, step_rule="momentum", learning_rate=1.0
)


@pytest.fixture(scope="module")
def digits() -> DataSet:
    data = split_held_out(load_data_set("digits"), 0.2, seed=1)
    return replace(data, train=data.train.take(np.arange(300)))


class TiedModel(nn.Module):
    """Its encoder's weight is its decoder's too."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(64, 64, bias=False)
        self.decode = nn.Linear(64, 64, bias=False)
        self.decode.weight = self.encode.weight
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(self.decode(torch.relu(self.encode(images.flatten(1)))))
        return found


class AttentionModel(nn.Module):
    """Looks at an image as a sequence of eight rows."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.encoder(images[:, 0])
        mixed, _ = self.attention(rows, rows, rows)
        found: Tensor = self.head(mixed.flatten(1))
        return found


class RecurrentModel(nn.Module):
    """Reads an image row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        states, _ = self.lstm(images[:, 0])
        found: Tensor = self.head(states[:, -1])
        return found


def tiny() -> nn.Module:
    return mlp((1, 8, 8), 10, hidden=32)


def normed() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def dropping() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 10)
    )


MODELS: list[Callable[[], nn.Module]] = [tiny, TiedModel, AttentionModel, RecurrentModel, normed, dropping]
some_model = pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)


def learner_of(
    data: DataSet,
    build: Callable[[], nn.Module] = tiny,
    plan: TrainingOptions = PLAN,
    origin: InitializationOptions = ORIGIN,
) -> Learner:
    torch.manual_seed(0)  # what is neither frozen nor masked, as the assembly does
    return Learner(build(), data, plan, origin)


def never() -> bool:
    return False


def accuracy_of(learner: Learner) -> float:
    accuracy = learner.score(never)
    assert accuracy is not None
    return accuracy


def mask_of(layout: MaskLayout, number: int) -> Mask:
    """Return a random mask that keeps about a third."""
    bits = (np.random.default_rng(number).random(layout.size) < 0.3).astype(np.uint8)
    return Mask(layout, frozenbitarray(bitarray(bits.tolist(), endian="little")))


def heard(peer: str, mask: Mask, staleness: int = 0) -> NeighbourMasks:
    return NeighbourMasks(peer, mask, (), staleness)


def run_rounds(learner: Learner, numbers: range) -> list[tuple[Progress, Mask]]:
    """Train and aggregate two made-up neighbours' masks; return what each round gave."""
    found = []
    for number in numbers:
        found.append((learner.train_round(number, never), learner.mask))
        learner.aggregate(
            [heard("a", mask_of(learner.layout, number)), heard("b", mask_of(learner.layout, -number % 7), 1)]
        )
    return found


def same_state(one: Learner, other: Learner) -> bool:
    left, right = one.state(), other.state()
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


def test_training_follows_from_the_seeds_alone(digits: DataSet) -> None:
    one, other = learner_of(digits), learner_of(digits)
    torch.rand(3)  # whatever else the process draws
    assert run_rounds(one, range(3)) == run_rounds(other, range(3))
    assert same_state(one, other)


def test_nodes_of_one_seed_share_network_and_scores_but_not_the_order_of_their_data(digits: DataSet) -> None:
    one, other = learner_of(digits), learner_of(digits, origin=replace(ORIGIN, node_seed=3))
    assert one.fingerprint == other.fingerprint
    assert torch.equal(one.network.weights, other.network.weights)
    assert one.mask == other.mask
    one.train_round(0, never)
    other.train_round(0, never)
    assert one.mask != other.mask


def test_another_seed_is_another_network(digits: DataSet) -> None:
    one, other = learner_of(digits), learner_of(digits, origin=replace(ORIGIN, network_seed=9))
    assert one.fingerprint != other.fingerprint
    assert one.mask != other.mask


def test_own_scores_differ_from_node_to_node_over_the_same_network(digits: DataSet) -> None:
    origins = [InitializationOptions(1, node, shared_scores=False) for node in (2, 3, 2)]
    one, other, again = (learner_of(digits, plan=PAPER, origin=origin) for origin in origins)
    assert one.fingerprint == other.fingerprint
    assert one.mask != other.mask
    assert one.mask == again.mask


def test_a_random_first_mean_has_each_layers_density(digits: DataSet) -> None:
    origin = InitializationOptions(1, 2, keep_ratio=0.2, linear_keep_ratio=None, random_first_mean=True)
    learner = learner_of(digits, plan=PAPER, origin=origin)
    mean = learner.state()["neighbour_mean"]
    assert set(np.unique(mean)) == {0.0, 1.0}
    for _, span in learner.layout.spans():
        assert mean[span].mean() == pytest.approx(0.2, abs=0.05)
    assert not learner_of(digits).state()["neighbour_mean"].any()


def test_the_mask_has_the_keep_ratio_of_each_layer(digits: DataSet) -> None:
    origin = InitializationOptions(1, 2, keep_ratio=0.5, layer_keep_ratios=(("1.*", 0.1), ("*", 0.25)))
    learner = learner_of(digits, origin=origin)
    learner.train_round(0, never)
    densities = learner.mask.layer_densities()
    assert densities["1.weight"] == pytest.approx(0.1, abs=0.001)
    assert densities["3.weight"] == pytest.approx(0.25, abs=0.005)


def test_a_keep_ratio_for_no_layer_is_refused(digits: DataSet) -> None:
    with pytest.raises(SettingsError, match="no layer matches 'head'"):
        learner_of(digits, origin=InitializationOptions(1, 2, layer_keep_ratios=(("head", 0.1),)))


def test_training_raises_the_accuracy(digits: DataSet) -> None:
    learner = learner_of(digits)
    before = accuracy_of(learner)
    for number in range(30):
        learner.train_round(number, never)
    assert accuracy_of(learner) > before + 0.3


def test_training_stops_early_when_asked(digits: DataSet) -> None:
    assert learner_of(digits).train_round(0, lambda: True).steps == 0


def test_a_batch_is_never_larger_than_the_data(digits: DataSet) -> None:
    few = replace(digits, train=digits.train.take(np.arange(3)))
    progress = learner_of(few, plan=replace(PLAN, batch_size=1000)).train_round(0, never)
    assert progress.steps == PLAN.local_steps
    assert math.isfinite(progress.loss)


@some_model
def test_a_restored_node_goes_on_to_the_bit_as_if_never_stopped(
    digits: DataSet, build: Callable[[], nn.Module]
) -> None:
    uninterrupted = learner_of(digits, build)
    run_rounds(uninterrupted, range(2))
    saved = uninterrupted.state()
    expected = run_rounds(uninterrupted, range(2, 4))

    restarted = learner_of(digits, build)
    restarted.restore(saved)
    torch.rand(3)  # another process has drawn other numbers
    assert run_rounds(restarted, range(2, 4)) == expected
    assert same_state(restarted, uninterrupted)
    assert accuracy_of(restarted) == accuracy_of(uninterrupted)


@pytest.mark.slow
def test_what_was_learned_stays_however_long_a_node_runs_on(digits: DataSet) -> None:
    """Every image is soon answered with certainty; without rest, scores then grew sixfold and a third was forgotten."""
    few = partition(digits, samples_per_class=3, seed=1)
    learner = Learner("mlp", few, TrainingOptions(local_steps=500, batch_size=16))
    sizes, scores = [], []
    for _ in range(7):
        learner.train_round()
        sizes.append(float(np.square(learner.state()["scores"]).mean()))
        scores.append(learner.score() or 0.0)
    assert sizes[-1] < 1.1 * sizes[3]
    assert scores[-1] > scores[3] - 0.02


@pytest.mark.parametrize("fine_tuning", ["stale", "fresh"])
def test_the_papers_form_goes_on_to_the_bit_too(digits: DataSet, fine_tuning: FineTuning) -> None:
    plan = replace(PAPER, momentum=0.5, fine_tuning=fine_tuning)
    origin = InitializationOptions(1, 2, shared_scores=False, scale_kept=False, random_first_mean=True)
    uninterrupted = learner_of(digits, dropping, plan, origin)
    run_rounds(uninterrupted, range(2))
    saved = uninterrupted.state()
    expected = run_rounds(uninterrupted, range(2, 4))
    restarted = learner_of(digits, dropping, plan, origin)
    restarted.restore(saved)
    assert run_rounds(restarted, range(2, 4)) == expected


def test_a_saved_state_is_a_copy(digits: DataSet) -> None:
    learner = learner_of(digits)
    saved = learner.state()
    before = {name: array.copy() for name, array in saved.items()}
    learner.train_round(0, never)
    assert all(np.array_equal(saved[name], before[name]) for name in saved)
    learner.restore(saved)
    learner.train_round(0, never)
    assert all(np.array_equal(saved[name], before[name]) for name in saved)


def test_the_state_of_another_model_is_refused_and_changes_nothing(digits: DataSet) -> None:
    learner = learner_of(digits)
    before = learner.state()
    for other in (learner_of(digits, normed).state(), {}, {**before, "scores": before["scores"][:-1]}):
        with pytest.raises(StateError, match="does not fit this model: scores is missing or of another shape"):
            learner.restore(other)
    assert all(np.array_equal(learner.state()[name], before[name]) for name in before)


@some_model
def test_users_models_learn_by_masks_and_by_what_is_their_own(digits: DataSet, build: Callable[[], nn.Module]) -> None:
    """Masked weights stay as the model has them, and each layer of them gets a gradient; everything else is trained."""
    learner = learner_of(digits, build, replace(PLAN, local_steps=30))
    model = learner.network.model
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    first = learner.train_round(0, never)
    last = learner.train_round(1, never)
    assert last.loss < first.loss
    masked = {layer.name for layer in learner.layout.layers}
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name in masked), name
    velocity = learner.state()["velocity"]
    for layer, span in learner.layout.spans():
        assert velocity[span].any(), layer.name


def test_a_tied_weight_has_one_mask_for_both_its_uses(digits: DataSet) -> None:
    learner = learner_of(digits, TiedModel)
    assert [layer.name for layer in learner.layout.layers] == ["encode.weight", "head.weight"]
    exported = learner.export().model
    assert isinstance(exported, TiedModel)
    assert exported.encode.weight is exported.decode.weight


def test_running_statistics_are_learned_and_kept_in_the_state(digits: DataSet) -> None:
    learner = learner_of(digits, normed)
    learner.train_round(0, never)
    state = learner.state()
    assert state["local.1.num_batches_tracked"] == PLAN.local_steps
    assert state["local.1.running_mean"].any()
    assert {"local.0.bias", "local.1.weight"} <= state.keys()
    assert "local.0.weight" not in state, "frozen weights follow from the seed"


@some_model
def test_the_exported_model_is_plain_and_answers_as_the_node_does(
    digits: DataSet, build: Callable[[], nn.Module]
) -> None:
    learner = learner_of(digits, build)
    run_rounds(learner, range(3))
    exported = learner.export()
    assert isinstance(exported, PersonalModel)
    assert type(exported.model) is type(build())
    assert digits.held_out is not None
    images, labels = torch.from_numpy(digits.held_out.images), digits.held_out.labels
    with torch.no_grad():
        answers = exported(images).argmax(dim=1).numpy()
    assert float((answers == labels).mean()) == pytest.approx(accuracy_of(learner))


def test_the_exported_model_is_smaller_by_the_units_that_died(digits: DataSet) -> None:
    learner = learner_of(digits, plan=replace(PLAN, local_steps=40, group_lasso=0.003, min_channel_fraction=0.5))
    run_rounds(learner, range(3))
    kept = masking.from_mask(learner.mask)[: 32 * 64].view(32, 64).any(dim=1)
    assert 0 < int(kept.sum()) < 32
    exported = learner.export()
    assert len(exported.model.get_parameter("1.weight")) <= int(kept.sum())
    images = torch.from_numpy(digits.train.images)
    whole = bake(learner.network.model, learner.network.weights, learner.form)
    assert torch.allclose(exported(images), whole(images), atol=1e-4)


def test_silence_leaves_the_neighbour_mean(digits: DataSet) -> None:
    learner = learner_of(digits, plan=replace(PLAN, adaptive_collaboration=False))
    run_rounds(learner, range(1))
    before = learner.state()
    assert before["neighbour_mean"].any()
    learner.aggregate([])
    assert all(np.array_equal(learner.state()[name], before[name]) for name in before)


def test_neighbours_pull_the_next_masks_their_way(digits: DataSet) -> None:
    theirs = learner_of(digits, origin=replace(ORIGIN, node_seed=5))
    for number in range(20):
        theirs.train_round(number, never)
    alone, together = learner_of(digits), learner_of(digits)
    for number in range(3):
        together.aggregate([heard("a", theirs.mask)])
        alone.train_round(number, never)
        together.train_round(number, never)
    assert together.mask.agreement(theirs.mask) > alone.mask.agreement(theirs.mask)


@pytest.mark.parametrize("plan", [PLAN, PAPER], ids=["default", "paper"])
@pytest.mark.parametrize("bit", [0, 1])
def test_a_neighbour_that_keeps_nothing_or_everything_does_no_harm(
    digits: DataSet, plan: TrainingOptions, bit: int
) -> None:
    learner = learner_of(digits, plan=plan)
    extreme = Mask(learner.layout, frozenbitarray(bitarray([bit] * learner.layout.size, endian="little")))
    learner.aggregate([heard("a", extreme)])
    assert math.isfinite(learner.train_round(1, never).loss)
    assert learner.mask.density == pytest.approx(0.3, abs=0.01)


def test_the_order_of_the_neighbours_changes_nothing_that_matters(digits: DataSet) -> None:
    one, other = learner_of(digits), learner_of(digits)
    masks = [heard(str(number), mask_of(one.layout, number), number) for number in range(3)]
    one.aggregate(masks)
    other.aggregate(masks[::-1])
    assert np.allclose(one.state()["neighbour_mean"], other.state()["neighbour_mean"], atol=1e-6)


def test_without_held_out_data_there_is_no_accuracy(digits: DataSet) -> None:
    assert learner_of(replace(digits, held_out=None)).score(never) is None


def test_a_node_answers_its_own_classes_only_unless_told_otherwise(digits: DataSet) -> None:
    own = digits.train.take(np.flatnonzero(np.isin(digits.train.labels, (3, 7))))
    data = replace(digits, train=own)
    assert learner_of(data).network.logit_offset.eq(0).nonzero().flatten().tolist() == [3, 7]
    everything = learner_of(data, origin=replace(ORIGIN, own_classes=False))
    assert not everything.network.logit_offset.any()


class Failing(nn.Module):
    """Raises what it is given, as a user's model might."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.line = nn.Linear(64, 10)

    def forward(self, _images: Tensor) -> Tensor:
        raise self.error


class TwoHeads(nn.Module):
    """Returns a pair of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.line(images.flatten(1)), images


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Flatten(), "no weight matrix, .*, so there is nothing to mask"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), "lazy layers.*give their sizes"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(64, 9)),
            r"must return a tensor of shape \(batch, 10\).* for a batch of 16 it returned \(16, 9\)",
        ),
        (nn.Linear(8, 10), r"for a batch of 16 it returned \(16, 1, 8, 10\)"),
        (TwoHeads(), "for a batch of 16 it returned tuple"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(63, 10)),
            r"does not take a minibatch of 16 inputs of shape \(1, 8, 8\): RuntimeError: mat1 and mat2 shapes",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10)), r"of shape \(1, 8, 8\): RuntimeError"),
        (Failing(AssertionError("three channels")), r"of shape \(1, 8, 8\): AssertionError: three channels"),
        (Failing(AttributeError("x")), "AttributeError: x"),
        (Failing(KeyError("x")), "KeyError: 'x'"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_a_model_that_does_not_suit_the_data_is_refused_at_once(
    digits: DataSet, model: nn.Module, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Learner(model, digits, PLAN, ORIGIN)


def watch_units(model: nn.Module) -> dict[str, float]:
    """Return a dictionary that a call of the model fills: by ReLU, the fraction of units on for any of the images."""
    alive: dict[str, float] = {}

    def watch(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            alive[name] = float((output > 0).any(dim=0).float().mean())

        return hook

    for name, module in model.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(watch(name))
    return alive


def random_images(count: int) -> DataSet:
    """Return 28x28 noise in which each class has its own bright corner, so that there is something to learn."""
    generator = np.random.default_rng(0)
    images = generator.random((count, 1, 28, 28), dtype=np.float32)
    labels = np.arange(count) % 4
    for image, label in zip(images, labels, strict=True):
        rows, columns = divmod(int(label), 2)
        image[0, 14 * rows : 14 * rows + 14, 14 * columns : 14 * columns + 14] += 1
    return DataSet(Examples(images / np.float32(2), labels.astype(np.int64)), None, 4, "noise")


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_no_layer_is_dead_after_training_with_the_defaults(digits: DataSet, name: str) -> None:
    data = digits if name == "mlp" else random_images(64)
    build = mlp if name == "mlp" else cnn
    plan = TrainingOptions(local_steps=15)
    learner = learner_of(data, lambda: build(data.input_shape, data.class_count), plan)
    for number in range(4):
        learner.train_round(number, never)
        learner.aggregate([heard("a", learner.mask)])
    exported = bake(learner.network.model, learner.network.weights, PersonalForm(learner.mask))  # with all dead units
    alive = watch_units(exported)
    logits = exported(torch.from_numpy(data.train.images))
    nn.functional.cross_entropy(logits, torch.from_numpy(data.train.labels)).backward()
    assert len(alive) == len(learner.layout.layers) - 1
    assert min(alive.values()) > 0.3, alive
    for layer in learner.layout.layers:
        gradient = exported.get_parameter(layer.name).grad
        assert gradient is not None
        assert float(gradient.abs().max()) > 1e-6, layer.name


def weight_after(learner: Learner, masks: Sequence[Mask]) -> float:
    """Return the collaboration weight after a node learned for a while, and then a neighbour sent these masks."""
    for number in range(10):
        learner.train_round(number, never)
    for mask in masks:
        learner.aggregate([heard("a", mask)])
    return float(learner.state()["collaboration_weight"])


def test_a_node_leans_less_on_neighbours_who_make_its_model_worse(digits: DataSet) -> None:
    plan = replace(PLAN, alpha=4.0)
    layout = learner_of(digits).layout
    noise = [mask_of(layout, number) for number in range(4)]
    assert weight_after(learner_of(digits, plan=plan), noise) < 0.5
    assert weight_after(learner_of(digits, plan=replace(plan, adaptive_collaboration=False)), noise) == 1
    assert weight_after(learner_of(replace(digits, held_out=None), plan=plan), noise) == 1


def test_a_node_goes_on_leaning_on_neighbours_who_say_what_it_says(digits: DataSet) -> None:
    learner = learner_of(digits)
    agreeing = learner_of(digits)
    for number in range(10):
        agreeing.train_round(number, never)
    assert weight_after(learner, [agreeing.mask] * 4) > 0.5


def test_a_pull_that_makes_the_model_worse_stays_out_of_its_mask(digits: DataSet) -> None:
    """Noise as strong as this costs tens of points where nobody judges it."""
    plan = replace(PLAN, alpha=4.0)
    noise = [mask_of(learner_of(digits).layout, number) for number in range(6)]
    judging, trusting = (
        learner_of(digits, plan=plan),
        learner_of(digits, plan=replace(plan, adaptive_collaboration=False)),
    )
    weight_after(judging, noise)
    weight_after(trusting, noise)
    assert accuracy_of(judging) > accuracy_of(trusting)


def test_a_state_without_a_collaboration_weight_has_the_largest(digits: DataSet) -> None:
    saved = learner_of(digits).state()
    del saved["collaboration_weight"]
    learner = learner_of(digits)
    learner.restore(saved)
    assert learner.state()["collaboration_weight"] == 1
