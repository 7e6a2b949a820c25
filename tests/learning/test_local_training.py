"""Local training, fine-tuning and evaluation against the formulas of the paper."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from dslnode.errors import ModelError
from dslnode.learning import local_training, masking
from dslnode.learning.aggregation import aggregation_term, intermediate_aggregation_tensor, neighbour_mean
from dslnode.learning.evaluation import evaluate
from dslnode.learning.fine_tuning import fine_tuned
from dslnode.learning.frozen_network import FrozenNetwork, frozen_weights, shared_layout
from dslnode.learning.group_sparsity import ChannelScales
from dslnode.learning.initialization import draw_sharing, score_scale, seeded_scores
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_mask import aggregation_tensor, choose_mask
from dslnode.learning.state import LearnerState
from dslnode.protocol.mask import MaskLayout
from tests.learning.data_sets import three_classes

PLAN = TrainingOptions(local_steps=3, batch_size=8, alpha=0.0)
TASK = three_classes()


def network_of(model: nn.Module, ratio: float = 0.5, weights_per_score: int = 1) -> FrozenNetwork:
    layout = masking.layout_of(model)
    ratios = (ratio,) * len(layout.layers)
    weights, counts = frozen_weights(layout, 1, ratios), masking.keep_counts(layout, ratios)
    scores = shared_layout(layout, weights_per_score)
    return FrozenNetwork(model, layout, scores, draw_sharing(layout, scores, 1), weights, counts, torch.zeros(3))


def small_network() -> FrozenNetwork:
    return network_of(nn.Sequential(nn.Linear(6, 16, bias=False), nn.ReLU(), nn.Linear(16, 3, bias=False)))


def fresh_state(layout: MaskLayout) -> LearnerState:
    velocity, squares, mean, gradient = (torch.zeros(layout.size) for _ in range(4))
    scores = seeded_scores(layout, 1)
    return LearnerState(scores, scores.clone(), velocity, squares, mean, gradient, ChannelScales.at_one(layout))


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(30, 6, generator=generator)
    labels = (images[:, 0] * 3).long()
    return itertools.cycle(zip(images.split(10), labels.split(10), strict=True))


def test_gradient_equals_autograd_through_the_straight_through_estimator() -> None:
    network = small_network()
    images, labels = next(batches())
    scores = seeded_scores(network.layout, 1).requires_grad_()
    keep = masking.top_k(scores.detach(), network.layout, network.counts)
    straight_through = keep.float() + (scores - scores.detach())
    assert torch.equal(straight_through.detach(), keep.float()), "values are exactly 0 and 1"
    kept = masking.tensors_of(network.weights * straight_through, network.layout)
    loss = cross_entropy(functional_call(network.model, kept, (images,)), labels)
    [expected] = torch.autograd.grad(loss, [scores])
    found = local_training.minibatch_gradient(network, keep, TASK, images, labels)
    found_loss, gradient = found.loss, network.at_mask(found.at_weights)
    assert torch.equal(found_loss, loss.detach())
    assert torch.allclose(gradient, expected, atol=1e-7)


@pytest.mark.parametrize("per_score", [1, 3, 4])
def test_the_quick_way_to_the_gradient_at_the_scores_is_the_long_one(per_score: int) -> None:
    model = nn.Sequential(nn.Linear(201, 300, bias=False), nn.ReLU(), nn.Linear(300, 3, bias=False))
    network = network_of(model, weights_per_score=per_score)
    draw = torch.Generator().manual_seed(0)
    at_weights = {layer.name: torch.randn(layer.shape, generator=draw) for layer in network.layout.layers}
    expected = network.reduce_gradient(network.at_mask(at_weights))
    assert expected.shape == (network.score_layout.size,)
    assert torch.allclose(network.at_scores(at_weights), expected, atol=1e-5)


def test_unsigned_scores_turn_the_gradient_with_the_scores_sign() -> None:
    layout = small_network().layout
    scores, gradient = seeded_scores(layout, 1), torch.rand(layout.size)
    plan = replace(PLAN, signed_scores=False)
    assert torch.equal(local_training.score_gradient(scores, gradient, plan), gradient * scores.sign())
    assert torch.equal(local_training.score_gradient(scores, gradient, PLAN), gradient)


def test_weight_decay_adds_its_gradient() -> None:
    scores, gradient = torch.rand(5), torch.rand(5)
    found = local_training.score_gradient(scores, gradient, replace(PLAN, weight_decay=0.01))
    assert torch.allclose(found, gradient + 0.01 * scores)


def test_tensor_and_mean_follow_the_paper() -> None:
    layout = small_network().layout
    scores = seeded_scores(layout, 1)
    masks = [masking.to_mask(torch.arange(layout.size) % step == 0, layout) for step in (2, 3)]
    mean = neighbour_mean(layout, [(masks[0], 1.0), (masks[1], 3.0)])
    assert torch.allclose(mean, 0.25 * masking.from_mask(masks[0]) + 0.75 * masking.from_mask(masks[1]))
    assert not neighbour_mean(layout, []).any()
    term = aggregation_term(scores, mean, 2.0, layout)
    for _, span in layout.spans():
        expected = scores[span] + 2 * scores[span].abs().mean() * scores[span].sign() * mean[span]
        unsigned = intermediate_aggregation_tensor(scores, term, signed=False)[span]
        assert torch.allclose(unsigned, expected.abs(), atol=1e-6)
    assert torch.allclose(intermediate_aggregation_tensor(scores, term, signed=True), scores + term)


def test_strong_aggregation_makes_the_neighbours_mask_ours() -> None:
    network = small_network()
    state = fresh_state(network.layout)
    theirs = masking.top_k(-state.scores, network.layout, network.counts)
    state.neighbour_mean = theirs.float()
    keep = choose_mask(network, aggregation_tensor(network, state, replace(PLAN, alpha=1000.0)), state.channels, PLAN)
    assert torch.equal(keep, theirs)


def test_local_training_lowers_the_loss_and_keeps_the_exact_count() -> None:
    network = small_network()
    state = fresh_state(network.layout)
    plan = replace(PLAN, local_steps=60)
    first = local_training.train_locally(
        network, state, TASK, replace(plan, local_steps=3), batches(), stop=lambda: False
    )
    last = local_training.train_locally(network, state, TASK, plan, batches(), stop=lambda: False)
    assert last.loss < first.loss
    keep = choose_mask(network, aggregation_tensor(network, state, plan), state.channels, plan)
    for (_, span), count in zip(network.layout.spans(), network.counts, strict=True):
        assert int(keep[span].sum()) == count


def test_a_minibatch_without_a_finite_loss_moves_nothing() -> None:
    network, spoiled, clean = small_network(), fresh_state(small_network().layout), fresh_state(small_network().layout)
    good = list(itertools.islice(batches(), 3))
    bad = (torch.full((10, 6), math.nan), good[0][1])
    mixed = local_training.train_locally(
        network, spoiled, TASK, replace(PLAN, local_steps=4), iter([*good, bad]), stop=lambda: False
    )
    alone = local_training.train_locally(network, clean, TASK, PLAN, iter(good), stop=lambda: False)
    assert mixed == replace(alone, steps=4)
    assert torch.equal(spoiled.scores, clean.scores)
    assert torch.equal(spoiled.squares, clean.squares)


def test_a_round_without_any_finite_loss_is_an_error() -> None:
    network = small_network()
    bad = (torch.full((10, 6), math.inf), torch.zeros(10, dtype=torch.long))
    with pytest.raises(ModelError, match="infinite or no number"):
        local_training.train_locally(
            network, fresh_state(network.layout), TASK, PLAN, itertools.repeat(bad), stop=lambda: False
        )


def test_the_mask_follows_from_scores_averaged_over_the_steps() -> None:
    network, plan = small_network(), replace(PLAN, score_ema_decay=0.9)
    state = fresh_state(network.layout)
    expected = state.scores.clone()
    for step in range(1, 31):
        local_training.train_locally(network, state, TASK, replace(plan, local_steps=1), batches(), stop=lambda: False)
        part = min(0.9, step / (step + local_training.WARM_UP))
        expected = part * expected + (1 - part) * state.scores
    assert torch.allclose(state.average, expected, atol=1e-6)
    aggregated = aggregation_tensor(network, state, replace(plan, alpha=0.0))
    assert torch.equal(aggregated, state.average)


def test_without_memory_the_average_is_the_newest_scores() -> None:
    network, state = small_network(), fresh_state(small_network().layout)
    local_training.train_locally(
        network, state, TASK, replace(PLAN, score_ema_decay=0.0, local_steps=7), batches(), stop=lambda: False
    )
    assert torch.equal(state.average, state.scores)


def test_what_neighbours_say_moves_the_scores_and_their_average_alike() -> None:
    state = fresh_state(small_network().layout)
    before, change = state.average.clone(), torch.full_like(state.scores, 0.25)
    moved = state.moved_by(change)
    assert torch.equal(moved.average, before + change)
    assert torch.equal(moved.scores, before + change)
    assert torch.equal(state.average, before), "and the state before stays as it was"


def test_training_stops_between_two_steps_when_asked() -> None:
    network = small_network()
    answers = iter([False, False, True])
    progress = local_training.train_locally(
        network, fresh_state(network.layout), TASK, replace(PLAN, local_steps=50), batches(), stop=lambda: next(answers)
    )
    assert progress.steps == 2


def test_adam_steps_are_in_units_of_each_layers_first_scores() -> None:
    network = small_network()
    layout = network.layout
    state = fresh_state(layout)
    before = state.scores.clone()
    gradient = torch.randn(layout.size, generator=torch.Generator().manual_seed(0)) * 1e6
    local_training.step_scores(network, state, gradient, PLAN)
    for layer, span in layout.spans():
        moved = before[span] - state.scores[span]
        assert torch.allclose(moved, PLAN.learning_rate * score_scale(layer) * gradient[span].sign(), rtol=1e-3)


def test_adam_is_torchs_adam() -> None:
    network = network_of(nn.Linear(7, 5, bias=False))
    layout = network.layout
    state = fresh_state(layout)
    theirs = state.scores.clone().requires_grad_()
    rate = PLAN.learning_rate * score_scale(layout.layers[0])
    optimiser = torch.optim.Adam([theirs], lr=rate, betas=(0.9, 0.99), eps=1e-12)
    for step in range(20):
        gradient = torch.sin(torch.arange(35.0) * (step + 1))
        local_training.step_scores(network, state, gradient, PLAN)
        theirs.grad = gradient.clone()
        optimiser.step()
    assert torch.allclose(state.scores, theirs.detach(), atol=1e-6)


@pytest.mark.parametrize(("size", "part"), [(1.0, 1.0), (2e-3, 1.0), (5e-4, 0.5), (1e-6, 1e-3)])
def test_a_layer_whose_gradient_has_all_but_vanished_rests(size: float, part: float) -> None:
    network = small_network()
    layout = network.layout
    state = fresh_state(layout)
    state.peaks = {layer.name: 1.0 for layer in layout.layers}
    before = state.scores.clone()
    local_training.step_scores(network, state, torch.full((layout.size,), size), PLAN)
    for layer, span in layout.spans():
        moved = before[span] - state.scores[span]
        assert moved.mean().item() == pytest.approx(part * PLAN.learning_rate * score_scale(layer), rel=1e-3)
    assert set(state.peaks.values()) == {1.0}


def test_parameters_without_a_mask_rest_as_well() -> None:
    network = network_of(nn.Linear(7, 5))
    state = fresh_state(network.layout)
    state.steps, state.peaks = 1, {"bias": 1.0}
    before = network.local_parameters["bias"].detach().clone()
    local_training.step_local_parameters(network, state, {"bias": torch.full((5,), 1e-6)})
    moved = before - network.local_parameters["bias"].detach()
    assert moved.mean().item() == pytest.approx(1e-3 * local_training.LOCAL_RATE, rel=0.05)


def test_momentum_is_the_papers_descent() -> None:
    network = small_network()
    layout = network.layout
    state = fresh_state(layout)
    before = state.scores.clone()
    gradient = torch.ones(layout.size)
    plan = replace(PLAN, step_rule="momentum", learning_rate=2.0, momentum=0.5)
    for _ in range(2):
        local_training.step_scores(network, state, gradient, plan)
    assert torch.allclose(before - state.scores, torch.tensor(2.0 + 3.0))


def test_stale_fine_tuning_moves_only_what_neighbours_keep() -> None:
    network = small_network()
    state = fresh_state(network.layout)
    state.gradient = torch.ones(network.layout.size)
    mean = (torch.arange(network.layout.size) % 2).float() / 2
    before = state.scores.clone()
    plan = replace(PLAN, fine_tuning="stale", fine_tuning_rate=10.0)
    after = fine_tuned(network, state, mean, TASK, plan, batches=batches())
    assert torch.allclose(before - after.scores, 10 * mean)


def test_fresh_fine_tuning_takes_a_new_gradient_and_off_does_nothing() -> None:
    network = small_network()
    state = fresh_state(network.layout)
    mean = torch.ones(network.layout.size)
    before = state.scores.clone()
    assert fine_tuned(network, state, mean, TASK, PLAN, batches=batches()) is state
    after = fine_tuned(network, state, mean, TASK, replace(PLAN, fine_tuning="fresh"), batches=batches())
    assert after.gradient.any()
    assert torch.allclose(before - after.scores, 10 * after.gradient, atol=1e-6)


def test_evaluation_counts_right_answers() -> None:
    network = small_network()
    keep = torch.ones(network.layout.size, dtype=torch.bool)
    images, labels = next(batches())
    logits = functional_call(network.model, masking.tensors_of(network.weights, network.layout), (images,))
    expected = (logits.argmax(1) == labels).float().mean().item()
    found = evaluate(network, keep, TASK, [(images[:4], labels[:4]), (images[4:], labels[4:])], lambda: False)
    assert found is not None
    assert TASK.score(found.predictions, found.targets) == pytest.approx(expected)
    assert evaluate(network, keep, TASK, [(images, labels)], lambda: True) is None


@pytest.mark.parametrize(("steps", "part"), [(1, 1.0), (400, 1.0), (1_600, 0.5), (40_000, 0.1)])
def test_the_rate_is_steady_at_first_and_then_falls_with_the_root_of_the_steps(steps: int, part: float) -> None:
    plan = replace(PLAN, learning_rate=0.06, lr_decay_after_steps=400)
    assert local_training.rate_at(steps, plan) == pytest.approx(part * 0.06)
    assert local_training.rate_at(steps, replace(plan, lr_decay_after_steps=0)) == 0.06


def test_a_step_far_on_moves_scores_less() -> None:
    network = small_network()
    moved = []
    for steady in (1, 0):
        state = fresh_state(network.layout)
        before = state.scores.clone()
        state.steps = 99
        plan = replace(PLAN, step_rule="adam", lr_decay_after_steps=steady, local_steps=1)
        local_training.train_locally(network, state, TASK, plan, batches(), stop=lambda: False)
        moved.append((state.scores - before).abs().sum())
    assert float(moved[0] / moved[1]) == pytest.approx(0.1, rel=1e-3)
