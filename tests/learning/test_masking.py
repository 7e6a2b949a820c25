"""Frozen weights, scores, exact top-k and baking."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dslnode.errors import SettingsError
from dslnode.learning import masking
from dslnode.learning.export import bake
from dslnode.learning.frozen_network import fingerprint, frozen_weights
from dslnode.learning.initialization import seeded_scores
from dslnode.learning.personal_form import PersonalForm
from dslnode.protocol.frozen_bits import frozen_signs
from dslnode.protocol.mask import MaskLayer, MaskLayout

LAYOUT = MaskLayout((MaskLayer("conv", (8, 3, 5, 5)), MaskLayer("line", (10, 33))))


def digest(array: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()


def test_kept_weights_are_those_under_the_mask_and_the_frozen_ones_stay_as_they_are() -> None:
    weights, keep = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([True, False, True])
    kept = masking.kept_weights(weights, keep)
    assert kept.tolist() == [1.0, 0.0, 3.0]
    kept.zero_()
    assert weights.tolist() == [1.0, -2.0, 3.0]


def test_frozen_network_is_the_same_bits_everywhere() -> None:
    """Golden digests: a board of any architecture, and any release of torch or numpy, must build these."""
    assert digest(frozen_signs(LAYOUT, 7)) == "6fbc8c6b4b20c4dd810c6a1a74b56dae"
    assert digest(seeded_scores(LAYOUT, 7).numpy().astype("<f4")) == "c62937c10988b5ea7024d958e2ce7f5b"
    assert digest(frozen_weights(LAYOUT, 7, (0.3, 0.5)).numpy().astype("<f4")) == "74e51960aa83e10396b81a032af8ce68"
    assert fingerprint(LAYOUT, LAYOUT, 7).hex() == "ca4877e0c56b36b6125474dcc1c7fa53"


def test_fingerprint_tells_seeds_and_layouts_apart() -> None:
    other = MaskLayout((MaskLayer("conv", (8, 3, 5, 5)), MaskLayer("line", (33, 10))))
    shared = MaskLayout((MaskLayer("conv", (9,)), MaskLayer("line", (33, 10))))
    facts = [(LAYOUT, LAYOUT, 1), (LAYOUT, LAYOUT, 2), (other, other, 1), (LAYOUT, shared, 1)]
    assert len({fingerprint(*one) for one in facts}) == 4


def test_frozen_weights_are_signed_constants_scaled_for_the_keep_ratio() -> None:
    weights = frozen_weights(LAYOUT, 1, (0.3, 0.5))
    for (layer, span), ratio in zip(LAYOUT.spans(), (0.3, 0.5), strict=True):
        expected = math.sqrt(2 / (ratio * layer.fan_in))
        assert torch.allclose(weights[span].abs(), torch.tensor(expected))
        assert weights[span].sign().mean().abs() < 0.2


def test_seeded_scores_are_uniform_within_their_bound() -> None:
    scores = seeded_scores(LAYOUT, 1)
    for layer, span in LAYOUT.spans():
        bound = 1 / math.sqrt(layer.fan_in)
        assert scores[span].abs().max() <= bound
        assert scores[span].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60), st.data())
def test_top_k_is_exact_and_the_lowest_index_wins_among_equals(values: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(values)))
    layout = MaskLayout((MaskLayer("x", (1, len(values))),))
    keep = masking.top_k(torch.tensor(values, dtype=torch.float32), layout, (count,))
    best = sorted(range(len(values)), key=lambda index: (-values[index], index))[:count]
    assert keep.nonzero()[:, 0].tolist() == sorted(best)


@pytest.mark.parametrize("size", [5, 8191, 8192, 50_000])
@pytest.mark.parametrize("ratio", [0.0001, 0.01, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("shape", ["normal", "few values", "constant", "rising", "heavy tail"])
def test_top_k_of_large_layers_is_the_sorted_truth(size: int, ratio: float, shape: str) -> None:
    draws = np.random.Generator(np.random.PCG64(size)).standard_normal(size).astype(np.float32)
    values = {
        "normal": draws,
        "few values": np.round(draws),
        "constant": np.zeros_like(draws),
        "rising": np.sort(draws),
        "heavy tail": draws**9,
    }[shape]
    count = max(1, round(ratio * size))
    keep = masking.top_k(torch.from_numpy(values), MaskLayout((MaskLayer("x", (1, size)),)), (count,))
    best = np.argsort(-values, kind="stable")[:count]
    assert keep.nonzero()[:, 0].tolist() == sorted(best.tolist())


def test_keep_ratios_by_pattern_then_by_kind_then_by_default() -> None:
    ratios = masking.resolve_keep_ratios(LAYOUT, 0.3, 0.9, {"conv*": 0.1})
    assert ratios == (0.1, 0.9)
    assert masking.resolve_keep_ratios(LAYOUT, 0.3, None, {}) == (0.3, 0.3)
    assert masking.keep_counts(LAYOUT, (0.1, 0.9)) == (60, 297)


def test_a_pattern_without_a_layer_is_refused_with_the_layers_names() -> None:
    with pytest.raises(SettingsError, match="no layer matches 'head'; the layers are conv, line"):
        masking.resolve_keep_ratios(LAYOUT, 0.3, None, {"head": 0.1})


def test_a_mask_packs_and_unpacks() -> None:
    keep = torch.arange(LAYOUT.size) % 3 == 0
    assert torch.equal(masking.from_mask(masking.to_mask(keep, LAYOUT)), keep.float())


def test_layout_takes_tensors_of_two_dimensions_and_counts_tied_weights_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(11, 6)
            self.norm = nn.LayerNorm(6)
            self.out = nn.Linear(6, 11)
            self.out.weight = self.embedding.weight

    layout = masking.layout_of(Tied())
    assert [(layer.name, layer.shape) for layer in layout.layers] == [("embedding.weight", (11, 6))]


def test_a_tensor_without_elements_is_none_to_mask() -> None:
    model = nn.Linear(4, 3)
    model.register_parameter("empty", nn.Parameter(torch.zeros(0, 4)))
    assert [layer.name for layer in masking.layout_of(model).layers] == ["weight"]


def test_baking_gives_a_plain_model_with_the_masked_weights_and_leaves_the_skeleton_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layout = masking.layout_of(model)
    weights = frozen_weights(layout, 1, (0.5, 0.5))
    mask = masking.to_mask(masking.top_k(seeded_scores(layout, 1), layout, (6, 3)), layout)
    baked = bake(model, weights, PersonalForm(mask))
    kept = torch.cat([baked.get_parameter(layer.name).flatten() for layer in layout.layers])
    assert torch.equal(kept, weights * masking.from_mask(mask))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("columns", [784, 49, 51, 8, 1000])
def test_a_sample_finds_about_the_threshold_whatever_differs_from_column_to_column(columns: int) -> None:
    layout = MaskLayout((MaskLayer("large", (300_000 // columns, columns)), MaskLayer("small", (10, 20))))
    draw = torch.Generator().manual_seed(1)
    ranking = torch.rand(layout.size, generator=draw)
    ((large, span), (_, rest)) = layout.spans()
    ranking[span] += 10 * (torch.arange(large.size) % columns > columns // 2)
    counts = masking.keep_counts(layout, (0.3, 0.3))
    near, exact = masking.near_top_k(ranking, layout, counts), masking.top_k(ranking, layout, counts)
    assert int((near ^ exact)[span].sum()) < 0.05 * counts[0]
    assert torch.equal(near[rest], exact[rest])
