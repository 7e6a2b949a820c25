"""The compact model answers as the masked one, is smaller where it can be, and whole where it must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from dslnode.learning import masking
from dslnode.learning.export import bake
from dslnode.learning.frozen_network import frozen_weights
from dslnode.learning.models import alexnet, cnn, mlp
from dslnode.learning.personal_form import PersonalForm
from dslnode.learning.pruning import prune_dead_units
from dslnode.protocol.mask import MaskLayout

INPUTS = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def masked(model: nn.Module, kept: Sequence[Sequence[int]], density: float = 0.9) -> nn.Module:
    """Bake a random mask that keeps weights of the given output channels only; layers without a list keep any."""
    layout = masking.layout_of(model)
    ratios = (density,) * len(layout.layers)
    keep = torch.rand(layout.size, generator=torch.Generator().manual_seed(1)) < density
    for (layer, span), channels in zip(layout.spans(), kept, strict=False):
        dead = torch.ones(layer.shape[0], dtype=torch.bool)
        dead[list(channels)] = False
        keep[span].view(layer.shape[0], -1)[dead] = False
    return bake(model, frozen_weights(layout, 1, ratios), PersonalForm(masking.to_mask(keep, layout)))


def shapes(model: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in model.parameters() if parameter.ndim > 1]


@torch.no_grad()
def assert_alike(one: nn.Module, other: nn.Module, inputs: Tensor = INPUTS) -> None:
    """Compare the answers, in evaluation mode, on inputs that neither has seen."""
    fresh = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(2)) * 2 - 1
    expected = one.eval()(fresh)
    assert expected.any()
    assert torch.allclose(other(fresh), expected, rtol=1e-4, atol=1e-5)


def test_an_mlp_loses_its_dead_units() -> None:
    baked = masked(mlp((1, 28, 28), 10), [range(100, 140)])
    smaller = prune_dead_units(baked, INPUTS)
    assert type(smaller) is type(baked)
    assert shapes(smaller) == [(40, 784), (10, 40)]
    assert "in_features=784, out_features=40" in repr(smaller)
    assert shapes(baked) == [(512, 784), (10, 512)], "the given model is left alone"
    assert_alike(baked, smaller)


def test_a_cnn_loses_channels_and_the_units_that_read_their_images() -> None:
    baked = masked(cnn((1, 28, 28), 10), [(3, 30), range(10, 15), range(0, 256, 2)])
    smaller = prune_dead_units(baked, INPUTS)
    assert shapes(smaller) == [(2, 1, 5, 5), (5, 2, 5, 5), (128, 5 * 16), (10, 128)]
    assert_alike(baked, smaller)


def strongly_normed(model: nn.Module) -> nn.Module:
    """Let a local response norm matter: by default it changes next to nothing."""
    for module in model.modules():
        if isinstance(module, nn.LocalResponseNorm):
            module.alpha = 50.0
    return model


def test_the_alexnet_loses_channels_and_its_norm_looks_across_those_left_as_before() -> None:
    inputs = torch.rand(2, 3, 32, 32)
    model = strongly_normed(alexnet((3, 32, 32), 10))
    baked = masked(model, [(0, 1, 3, 7, 60), range(0, 100, 3), range(30), range(40)])
    smaller = prune_dead_units(baked, inputs)
    assert shapes(smaller) == [(5, 3, 5, 5), (34, 5, 5, 5), (30, 34, 5, 5), (40, 120), (10, 40)]
    assert "PlacedResponseNorm(5, alpha=50.0, beta=0.75, k=1.0, channels=5)" in repr(smaller)
    assert_alike(baked, smaller, inputs)


def test_a_model_that_loses_no_channel_keeps_its_norm() -> None:
    smaller = prune_dead_units(masked(alexnet((1, 28, 28), 10), []), INPUTS)
    assert "PlacedResponseNorm" not in repr(smaller)


def response_normed() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.LocalResponseNorm(3, alpha=50.0), nn.Conv2d(6, 2, 26), nn.Flatten())


def test_what_a_norm_lets_count_for_others_stays_even_if_nothing_reads_it() -> None:
    baked = masked(response_normed(), [(0, 2, 3, 5)])
    with torch.no_grad():
        baked.get_parameter("2.weight")[:, 3] = 0
        baked.get_parameter("0.bias")[:2] = torch.tensor([0.0, 0.5])  # channel 1 is constant, and counts
        baked.get_parameter("0.bias")[4] = 0
    smaller = prune_dead_units(baked, INPUTS)
    assert shapes(smaller) == [(5, 1, 3, 3), (2, 5, 26, 26)]
    assert_alike(baked, smaller)


def test_a_norm_in_double_use_stays() -> None:
    norm = nn.LocalResponseNorm(3, alpha=50.0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), norm, nn.Conv2d(6, 6, 3), norm, nn.Conv2d(6, 2, 24), nn.Flatten())
    baked = masked(model, [(0, 2), (1, 3, 4)])
    smaller = prune_dead_units(baked, INPUTS)
    assert shapes(smaller) == shapes(baked)
    assert_alike(baked, smaller)


def test_death_spreads_both_ways() -> None:
    """A unit that only dead units read is dead, and so is one that reads only dead units."""
    layers = [nn.Linear(4, 4, bias=False) for _ in range(4)]
    with torch.no_grad():
        layers[2].weight[3] = 0
        layers[1].weight[0] = 0
        layers[2].weight[1, 1:] = 0  # reads only unit 0, which is silent
        layers[2].weight[:, 2] = 0  # nobody reads unit 2 of the layer before
        layers[1].weight[[1, 3], 1] = 0  # nor, then, unit 1 of the first
    model = nn.Sequential(*layers)
    inputs = torch.rand(6, 4)
    smaller = prune_dead_units(model, inputs)
    assert shapes(smaller) == [(3, 4), (2, 3), (2, 2), (4, 2)]
    assert_alike(model, smaller, inputs)


def test_the_last_unit_of_a_layer_stays() -> None:
    baked = masked(mlp((1, 28, 28), 10), [()])
    smaller = prune_dead_units(baked, INPUTS)
    assert shapes(smaller) == [(1, 784), (10, 1)]
    assert torch.equal(smaller(INPUTS), baked(INPUTS))


@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.ReLU(inplace=True), nn.Softplus(), nn.ELU(), nn.GELU()])
@pytest.mark.parametrize("bias", [True, False])
def test_constant_units_are_folded_into_the_next_bias(activation: nn.Module, bias: bool) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=bias),
        activation,
        nn.AdaptiveMaxPool2d(6),
        nn.Conv2d(8, 6, 3, bias=bias),
        activation,
        nn.Flatten(),
        nn.Linear(96, 5, bias=bias),
    )
    baked = masked(model, [(1, 2), (0, 4, 5)])
    smaller = prune_dead_units(baked, INPUTS)
    assert shapes(smaller) == [(2, 1, 3, 3), (3, 2, 3, 3), (5, 48)]
    assert_alike(baked, smaller)


def test_a_model_in_double_precision_stays_in_it() -> None:
    model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.Sigmoid(), nn.Linear(6, 3, bias=False)).double()
    with torch.no_grad():
        model.get_parameter("0.weight")[:2] = 0
    inputs = torch.rand(5, 4, dtype=torch.float64)
    smaller = prune_dead_units(model, inputs)
    assert shapes(smaller) == [(4, 4), (3, 4)]
    assert torch.allclose(smaller(inputs), model(inputs))
    assert {parameter.dtype for parameter in smaller.parameters()} == {torch.float64}


def test_a_constant_unit_stays_where_a_border_of_zeros_shows() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Sigmoid(), nn.Conv2d(4, 2, 3, padding=1), nn.Flatten(), nn.Linear(1568, 3)
    )
    baked = masked(model, [(0, 1)])
    assert shapes(prune_dead_units(baked, INPUTS)) == shapes(baked)
    with torch.no_grad():
        baked.get_parameter("2.weight")[:, 3] = 0
    smaller = prune_dead_units(baked, INPUTS)
    assert shapes(smaller)[0] == (3, 1, 3, 3), "what nobody reads goes all the same"
    assert_alike(baked, smaller)


class Written(nn.Module):
    """Says in its own words what a sequence of layers would."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 5)
        self.second = nn.Linear(6 * 36, 12)
        self.third = nn.Linear(12, 4)

    def forward(self, images: Tensor) -> Tensor:
        pooled = functional.max_pool2d(torch.relu(self.first(images)), 4)
        hidden = functional.leaky_relu(self.second(pooled.flatten(1)), 0.3)
        hidden = functional.dropout(hidden, training=self.training).sigmoid()
        found: Tensor = self.third(hidden)
        return found


def test_functions_and_methods_are_understood_as_modules_are() -> None:
    baked = masked(Written(), [(1, 5), (2, 3, 4)])
    smaller = prune_dead_units(baked, INPUTS)
    assert isinstance(smaller, Written)
    assert shapes(smaller) == [(2, 1, 5, 5), (3, 72), (4, 3)]
    assert_alike(baked, smaller)


class Residual(nn.Module):
    """Adds what it reads to what it makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(784, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images.flatten(1)))
        found: Tensor = self.last(hidden + torch.relu(self.inner(hidden)))
        return found


class Branching(Residual):
    """Its way depends on its input, so its graph cannot be traced."""

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images.flatten(1)))
        found: Tensor = self.last(hidden if hidden.sum() > 0 else self.inner(hidden))
        return found


class Shared(Residual):
    """Uses a layer twice, and another one's weight by itself."""

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first(images.flatten(1)))
        hidden = torch.relu(self.inner(torch.relu(self.inner(hidden))))
        found: Tensor = self.last(hidden) + self.first.weight.sum()
        return found


class Sized(Residual):
    """Counts on a size that changes."""

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.inner(torch.relu(self.first(images.flatten(1)))))
        found: Tensor = self.last(hidden) / self.inner.out_features
        return found


class Tied(Residual):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Linear(8, 8)
        self.more.weight = self.inner.weight

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.more(torch.relu(self.inner(torch.relu(self.first(images.flatten(1)))))))
        found: Tensor = self.last(hidden)
        return found


class Keyword(Residual):
    """Names an argument that is usually given by its place."""

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.sigmoid(input=self.inner(torch.sigmoid(input=self.first(images.flatten(1)))))
        found: Tensor = self.last(hidden)
        return found


def normed(*more: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(5408, 8), *more)


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 8, 24, groups=2), nn.Flatten()
    )


def shuffled() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.PixelShuffle(2), nn.Conv2d(2, 8, 52), nn.Flatten())


def regrouped() -> nn.Module:
    """Flattens units of several positions: a unit is no block of the next layer's inputs."""
    return nn.Sequential(nn.Linear(28, 8), nn.Flatten(), nn.Linear(224, 8))


def halfway() -> nn.Module:
    """Flattens rows and columns but not channels."""
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(2), nn.Linear(676, 8), nn.Flatten(), nn.Linear(64, 8))


def pooled_units() -> nn.Module:
    """Pools over units as if they were columns."""
    return nn.Sequential(nn.Linear(28, 8), nn.MaxPool2d(2), nn.Linear(4, 4), nn.Flatten(), nn.Linear(56, 8))


def normalised() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.Softmax(1), nn.Linear(8, 8))


LEFT_ALONE: list[Callable[[], nn.Module]] = [
    *(Residual, Branching, Shared, Sized, Tied, Keyword),
    *(normed, grouped, shuffled, regrouped, halfway, pooled_units, normalised),
]


@pytest.mark.parametrize("build", LEFT_ALONE, ids=lambda build: build.__name__)
def test_what_is_not_understood_is_left_whole(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = build()
    count = len(masking.layout_of(model).layers)
    baked = masked(model, [(0, 1)] * (count - 1))
    smaller = prune_dead_units(baked, INPUTS)
    assert shapes(smaller) == shapes(baked)
    assert_alike(baked, smaller)


def test_only_the_surroundings_of_what_is_not_understood_stay_whole() -> None:
    model = normed(nn.Tanh(), nn.Linear(8, 3))
    baked = masked(model, [(0, 1), (0, 1, 2)])
    smaller = prune_dead_units(baked, INPUTS)
    assert shapes(smaller) == [(8, 1, 3, 3), (3, 5408), (3, 3)]
    assert_alike(baked, smaller)


def small() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ELU(), nn.MaxPool2d(2, padding=1), nn.Conv2d(4, 3, 3, padding=1), nn.Sigmoid()),
        *(nn.Flatten(), nn.Linear(48, 5, bias=False), nn.SiLU(), nn.Linear(5, 3)),
    )


LAYOUT: MaskLayout = masking.layout_of(small())


@given(st.sets(st.integers(0, LAYOUT.size - 1)), st.sets(st.integers(0, 11)), st.sets(st.integers(0, 7)))
def test_any_mask_keeps_its_answers(kept: set[int], alive: set[int], read: set[int]) -> None:
    """A few single weights, and whole rows and columns of them on top."""
    keep = torch.zeros(LAYOUT.size, dtype=torch.bool)
    keep[list(kept)] = True
    rows = [row for tensor in masking.tensors_of(keep, LAYOUT).values() for row in tensor]
    for number in alive:
        rows[number].fill_(True)
    for number in read:
        masking.tensors_of(keep, LAYOUT)["6.weight" if number > 4 else "8.weight"][:, number % 5] = True
    weights = frozen_weights(LAYOUT, 1, (0.3,) * 4)
    baked = bake(small(), weights, PersonalForm(masking.to_mask(keep, LAYOUT))).eval()
    inputs = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    smaller = prune_dead_units(baked, inputs)
    with torch.no_grad():
        assert torch.allclose(smaller(-inputs), baked(-inputs), rtol=1e-4, atol=1e-5)
    for layer, tensor in zip(LAYOUT.layers, shapes(smaller), strict=True):
        assert 0 < tensor[0] <= layer.shape[0]
