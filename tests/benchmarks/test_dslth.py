"""The hypothesis in numbers: exact searches, masks that compute what is claimed, and fits that can be believed."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmarks.dslth import __main__ as command
from benchmarks.dslth import subset_sums
from benchmarks.dslth.measuring import Measurement, Plan, falls, measure, worst_errors
from benchmarks.dslth.subset_sums import Choices, Numbers, nearest_subsets, worst_distance
from benchmarks.dslth.theory import counted_slope, fit, kept_count, limiting_slope
from benchmarks.dslth.tickets import (
    Shape,
    candidate_products,
    draw_network,
    draw_targets,
    error_bound,
    find_masks,
    grid,
    output_errors,
    outputs_of,
    own_inputs,
)

SHAPE = Shape(inputs=2, hidden=3, outputs=2)
CANDIDATES, TARGETS = 9, 5
SMALL = Plan((8, 16, 18), (None, 0.3), (1, 4), (1, 2))


def numbers(count: int, seed: int, scale: float = 1.0) -> Numbers:
    return np.random.Generator(np.random.PCG64(seed)).uniform(-scale, scale, count)


def all_subsets(count: int, kept: int | None) -> Choices:
    subsets = np.array(list(product([False, True], repeat=count)))
    return subsets if kept is None else subsets[subsets.sum(axis=1) == kept]


def shared_network() -> list[Numbers]:
    return draw_network(SHAPE, CANDIDATES, seed=1)


def targets() -> list[Numbers]:
    return draw_targets(SHAPE, TARGETS, seed=1)


class TestSubsetSums:
    @pytest.mark.parametrize("kept", [None, *range(10)])
    def test_search_finds_what_trying_every_subset_finds(self, kept: int | None) -> None:
        candidates, wanted = numbers(9, seed=1), numbers(40, seed=2, scale=3)
        found = np.abs(nearest_subsets(candidates, wanted, kept) @ candidates - wanted)
        best = np.abs(all_subsets(9, kept) @ candidates - wanted[:, None]).min(axis=1)
        np.testing.assert_allclose(found, best, atol=1e-12)

    @pytest.mark.parametrize("kept", range(10))
    def test_exactly_as_many_are_kept_as_asked(self, kept: int) -> None:
        assert (nearest_subsets(numbers(9, seed=1), numbers(40, seed=2), kept).sum(axis=1) == kept).all()

    def test_a_sum_that_exists_is_found(self) -> None:
        candidates, subset = numbers(20, seed=3), numbers(20, seed=4) > 0
        chosen = nearest_subsets(candidates, np.array([subset @ candidates]), kept=int(subset.sum()))
        np.testing.assert_array_equal(chosen[0], subset)

    def test_little_memory_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        candidates, wanted = numbers(9, seed=1), numbers(40, seed=2)
        expected = nearest_subsets(candidates, wanted, 4)
        monkeypatch.setattr(subset_sums, "SUMS_AT_ONCE", 1)
        np.testing.assert_array_equal(nearest_subsets(candidates, wanted, 4), expected)

    @pytest.mark.parametrize("kept", [-1, 10])
    def test_impossible_counts_are_refused(self, kept: int) -> None:
        with pytest.raises(ValueError, match="cannot be kept"):
            nearest_subsets(numbers(9, seed=1), np.zeros(1), kept)

    @pytest.mark.parametrize("kept", [None, 2, 4])
    def test_worst_distance_is_met_nearby_and_exceeded_nowhere(self, kept: int | None) -> None:
        candidates, wanted = numbers(9, seed=5), np.linspace(-1, 1, 20_001)
        distances = np.abs(nearest_subsets(candidates, wanted, kept) @ candidates - wanted)
        worst = worst_distance(candidates, kept)
        assert worst - 1e-4 <= distances.max() <= worst + 1e-12


class TestTickets:
    @pytest.mark.parametrize("kept", [1, 3, 9])
    def test_each_weight_keeps_exactly_its_share(self, kept: int) -> None:
        _, first, _, second = find_masks(shared_network(), targets(), kept)
        for mask in (first, second):
            assert (mask.reshape(TARGETS, -1, CANDIDATES).sum(axis=2) == kept).all()

    def test_masks_fit_the_network_and_differ_from_target_to_target(self) -> None:
        network = shared_network()
        masks = find_masks(network, targets(), None)
        assert [mask.shape for mask in masks] == [(TARGETS, *weight.shape) for weight in network]
        assert all(mask.dtype == np.bool_ for mask in masks)
        assert len(np.unique(masks[1].reshape(TARGETS, -1), axis=0)) == TARGETS

    def test_looking_for_masks_leaves_the_network_alone(self) -> None:
        network = shared_network()
        find_masks(network, targets(), 3)
        for weight, fresh in zip(network, shared_network(), strict=True):
            np.testing.assert_array_equal(weight, fresh)

    def test_half_of_an_inputs_units_fire_on_either_side(self) -> None:
        own = shared_network()[0][own_inputs(SHAPE.inputs, CANDIDATES)].reshape(SHAPE.inputs, 2, CANDIDATES)
        assert (own[:, 0] > 0).all()
        assert (own[:, 1] < 0).all()

    @pytest.mark.parametrize("kept", [None, 3])
    def test_masked_network_is_the_target_with_sums_for_weights(self, kept: int | None) -> None:
        network, points = shared_network(), grid(SHAPE.inputs, 5)
        masks = find_masks(network, targets(), kept)
        for node in range(TARGETS):
            masked = [weight * mask[node] for weight, mask in zip(network, masks, strict=True)]
            hidden = np.maximum(by_sums(network, masks, 0, node, points), 0)
            expected = by_sums(network, masks, 1, node, hidden)
            np.testing.assert_allclose(outputs_of(masked, points), expected, atol=1e-12)

    @pytest.mark.parametrize("kept", [None, 3])
    def test_sums_are_the_nearest_to_the_targets_weights(self, kept: int | None) -> None:
        network, drawn = shared_network(), targets()
        masks = find_masks(network, drawn, kept)
        for layer, products in enumerate(candidate_products(network)):
            chosen = masks[2 * layer + 1].reshape(TARGETS, *products.shape)
            for o, i, side in np.ndindex(products.shape[:3]):
                sums = all_subsets(CANDIDATES, kept) @ products[o, i, side]
                wanted = drawn[layer][:, o, i]
                best = np.abs(sums - wanted[:, None]).min(axis=1)
                found = np.abs(chosen[:, o, i, side] @ products[o, i, side] - wanted)
                np.testing.assert_allclose(found, best, atol=1e-12)

    def test_error_is_the_largest_difference_of_the_outputs(self) -> None:
        network, drawn, points = shared_network(), targets(), grid(SHAPE.inputs, 5)
        nothing = [np.zeros((TARGETS, *weight.shape), np.bool_) for weight in network]
        hidden = [np.maximum(first @ points, 0) for first in drawn[0]]
        expected = [np.abs(second @ active).max() for second, active in zip(drawn[1], hidden, strict=True)]
        np.testing.assert_allclose(output_errors(network, nothing, drawn, points), expected)

    @pytest.mark.parametrize("kept", [None, 3])
    def test_no_target_exceeds_the_bound(self, kept: int | None) -> None:
        network, drawn = shared_network(), draw_targets(SHAPE, 200, seed=2)
        errors = output_errors(network, find_masks(network, drawn, kept), drawn, grid(SHAPE.inputs, 9))
        assert errors.max() <= error_bound(network, kept)


def by_sums(network: list[Numbers], masks: list[Choices], layer: int, node: int, values: Numbers) -> Numbers:
    """Return a linear map's outputs computed from the kept products: one sum for either sign of a value."""
    products = candidate_products(network)[layer]
    weights = (products * masks[2 * layer + 1][node].reshape(products.shape)).sum(axis=3)
    result: Numbers = weights[..., 0] @ np.maximum(values, 0) - weights[..., 1] @ np.maximum(-values, 0)
    return result


class TestMeasuring:
    @pytest.mark.parametrize("ratio", [None, 0.3])
    def test_error_falls_with_width(self, ratio: float | None) -> None:
        plan = Plan((8, 12, 16), (ratio,), (20,), (1, 2, 3))
        medians = [np.median(worst_errors(measure(width, ratio, plan).errors, 20)) for width in plan.widths]
        assert medians[1] < medians[0] / 2
        assert medians[2] < medians[1] / 2

    def test_worst_of_more_nodes_is_worse(self) -> None:
        errors = numbers(2 * 20, seed=1).reshape(2, 20)
        worst = [worst_errors(errors, nodes) for nodes in (1, 5, 20)]
        assert [found.shape for found in worst] == [(2, 20), (2, 4), (2, 1)]
        assert worst[0].mean() < worst[1].mean() < worst[2].mean()
        np.testing.assert_array_equal(worst[2][:, 0], errors.max(axis=1))

    def test_same_seed_same_errors(self) -> None:
        first, second = (measure(8, 0.3, SMALL) for _ in range(2))
        np.testing.assert_array_equal(first.errors, second.errors)

    def test_fall_is_that_of_the_median_seed(self) -> None:
        some = [Measurement(width, None, 2.0 ** -np.outer([0.7, 0.8, 0.9], [width]), None) for width in (16, 20, 24)]
        line, deviation = falls(some, 1)
        assert line.slope == pytest.approx(0.8)
        assert deviation == pytest.approx(0.1)


class TestTheory:
    def test_fit_recovers_a_known_line(self) -> None:
        widths = [16, 18, 20, 24]
        line = fit(widths, [3 - 0.75 * width for width in widths])
        assert line.slope == pytest.approx(0.75)
        assert line.intercept == pytest.approx(3)
        assert line.error(20) == pytest.approx(2**-12)

    def test_fit_recovers_a_slope_under_noise(self) -> None:
        widths = range(16, 216)
        line = fit(widths, (numbers(200, seed=1) - 0.75 * np.array(widths)).tolist())
        assert line.slope == pytest.approx(0.75, abs=0.01)

    def test_fit_ignores_narrow_networks(self) -> None:
        assert fit([8, 16, 20], [100, -16, -20]).slope == pytest.approx(1)

    def test_fit_refuses_a_single_point(self) -> None:
        with pytest.raises(ValueError, match="two widths"):
            fit([8, 16], [0, 0])

    @pytest.mark.parametrize("ratio", [None, 0.5, 0.25])
    def test_predictions_agree_for_wide_networks(self, ratio: float | None) -> None:
        assert counted_slope([800, 900, 1000], ratio) == pytest.approx(limiting_slope(ratio), abs=0.01)

    def test_keeping_less_predicts_less(self) -> None:
        assert limiting_slope(None) == limiting_slope(0.5) == 1
        assert limiting_slope(0.3) == pytest.approx(0.8813, abs=1e-4)

    def test_kept_counts(self) -> None:
        assert [kept_count(20, ratio) for ratio in (None, 0.3, 0.5)] == [None, 6, 10]


class TestCommand:
    @pytest.mark.process  # git says which commit measures
    def test_writes_figures_and_picture(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(command, "QUICK", SMALL)
        command.main(["--quick", "--json", str(tmp_path / "found.json"), "--plots", str(tmp_path / "plots")])
        found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
        assert len(found["rows"]) == len(SMALL.node_counts) * len(SMALL.ratios) * len(SMALL.widths)
        assert {"slope_4_targets_keep_0.3", "predicted_slope_keep_any"} <= found["summary"].keys()
        assert "<svg" in (tmp_path / "plots" / "dslth.svg").read_text(encoding="utf-8")
        assert "Fall of the worst target's error" in capsys.readouterr().out
