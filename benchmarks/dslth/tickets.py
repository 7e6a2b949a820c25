"""One wide random ReLU network shared by all nodes, and for each node's target network the mask that imitates it.

The construction is that of Pensia et al. and Orseau et al. (2020): every linear map of the target becomes two random
layers. The first has 2n units for every input, of which the mask lets each see only that input: n see it with a
positive weight and fire for positive inputs, n with a negative one. The second adds them up. The target's weight w
then is, on either side of zero, the sum of those of n products of two random weights which the mask keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.dslth.subset_sums import Choices, Numbers, nearest_subsets, worst_distance

# Gives products the variance 1, so that a dozen of them reach all of [-1, 1]. It shifts the error, not its fall.
ADDING_SCALE = 3.0


@dataclass(frozen=True)
class Shape:
    """The units of a target network with one hidden layer of ReLU and no biases."""

    inputs: int = 2
    hidden: int = 4
    outputs: int = 1


def draw_targets(shape: Shape, count: int, seed: int) -> list[Numbers]:
    """Return two layers for each target, uniform in [-1, 1]: [count, hidden, inputs] and [count, outputs, hidden]."""
    generator = np.random.Generator(np.random.PCG64([seed, 0]))
    sizes = ((count, shape.hidden, shape.inputs), (count, shape.outputs, shape.hidden))
    return [generator.uniform(-1, 1, size) for size in sizes]


def draw_network(shape: Shape, candidates: int, seed: int) -> list[Numbers]:
    """Return the four weight matrices [to, from] of the shared network, ``candidates`` (n) for each target weight.

    Widening layers are uniform in [-1, 1], adding layers in [-ADDING_SCALE, ADDING_SCALE]. One thing is not left to
    chance: of the 2n units that belong to an input n see it with a positive weight and n with a negative one.
    """
    generator = np.random.Generator(np.random.PCG64([seed, candidates]))
    weights = []
    for inputs, outputs in ((shape.inputs, shape.hidden), (shape.hidden, shape.outputs)):
        units = 2 * candidates * inputs
        widening = generator.uniform(-1, 1, (units, inputs))
        signs = np.tile(np.repeat([1, -1], candidates), inputs)[:, None]
        own = own_inputs(inputs, candidates)
        weights.append(np.where(own, signs * np.abs(widening), widening))
        weights.append(ADDING_SCALE * generator.uniform(-1, 1, (outputs, units)))
    return weights


def own_inputs(inputs: int, candidates: int) -> Choices:
    """Return the mask [2n * inputs, inputs] by which each widening unit sees one input only; equal for all targets."""
    return np.repeat(np.eye(inputs, dtype=np.bool_), 2 * candidates, axis=0)


def find_masks(network: Sequence[Numbers], targets: Sequence[Numbers], kept: int | None) -> list[Choices]:
    """Return the four masks of each target, [count, to, from] each.

    Of the n candidates of a weight and side exactly ``kept`` stay, or with None as many as fit best.
    """
    masks = []
    for products, wanted in zip(candidate_products(network), targets, strict=True):
        count, outputs, inputs = wanted.shape
        found = np.empty((count, *products.shape), np.bool_)
        for o, i, side in np.ndindex(products.shape[:3]):
            found[:, o, i, side] = nearest_subsets(products[o, i, side], wanted[:, o, i], kept)
        own = own_inputs(inputs, products.shape[-1])
        masks += [np.broadcast_to(own, (count, *own.shape)), found.reshape(count, outputs, -1)]
    return masks


def candidate_products(network: Sequence[Numbers]) -> list[Numbers]:
    """Return for both linear maps the products of random weights, [outputs, inputs, 2 sides, n] each."""
    found = []
    for widening, adding in zip(network[::2], network[1::2], strict=True):
        inputs = widening.shape[1]
        own = widening[own_inputs(inputs, len(widening) // (2 * inputs))]
        found.append((own * adding).reshape(len(adding), inputs, 2, -1))
    return found


def outputs_of(weights: Sequence[Numbers], points: Numbers) -> Numbers:
    """Return what a ReLU network of these matrices [to, from] makes of points [inputs, count]: [outputs, count]."""
    activity = points
    for weight in weights[:-1]:
        activity = np.maximum(weight @ activity, 0)
    return weights[-1] @ activity


def output_errors(
    network: Sequence[Numbers], masks: Sequence[Choices], targets: Sequence[Numbers], points: Numbers
) -> Numbers:
    """Return for each target the largest difference, over points and outputs, of the masked network to it: [count]."""
    errors = []
    for node in range(len(targets[0])):
        masked = [weight * mask[node] for weight, mask in zip(network, masks, strict=True)]
        wanted = outputs_of([weight[node] for weight in targets], points)
        errors.append(np.abs(outputs_of(masked, points) - wanted).max())
    return np.array(errors)


def error_bound(network: Sequence[Numbers], kept: int | None) -> float:
    """Return an output error that no target at all exceeds, for inputs in [-1, 1]: the number of targets is not in it.

    A hidden unit of the target is at most ``inputs``, one of the masked network off by at most ``inputs * first``.
    """
    products = candidate_products(network)
    hidden, inputs = products[0].shape[:2]
    first, second = (
        max(worst_distance(layer[where], kept) for where in np.ndindex(layer.shape[:3])) for layer in products
    )
    return float(hidden * inputs * ((1 + second) * first + second))


def grid(inputs: int, points_an_axis: int) -> Numbers:
    """Return a grid over the cube [-1, 1]^inputs, corners included: [inputs, points_an_axis^inputs]."""
    axis = np.linspace(-1, 1, points_an_axis)
    return np.stack([along.ravel() for along in np.meshgrid(*[axis] * inputs)])
