"""Chains of layers: which layer alone reads the units of another, and what a constant unit becomes on the way.

Found by tracing the model's graph. Only steps that are known to treat every channel on its own are followed, and local
response norms, which look at few channels beside each. Anything else (sums of branches, other norms, reshapes, weights
in double use) ends the search.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

Weighted = nn.Conv2d | nn.Linear
Step = Callable[[Tensor], Tensor]

ACTIVATIONS = {
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus, nn.Softsign),
    *(torch.relu, torch.tanh, torch.sigmoid, functional.relu, functional.elu, functional.gelu, functional.silu),
    *(functional.leaky_relu, functional.tanh, functional.sigmoid, "relu", "tanh", "sigmoid"),
}
"""Applied to each element alike: modules, functions, and methods of tensors by name."""
NOTHING = {nn.Identity, nn.Dropout, nn.Dropout2d, functional.dropout}
"""Leaves its input as it is, in evaluation mode."""
POOLS = {
    *(nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d),
    *(functional.max_pool2d, functional.adaptive_max_pool2d, functional.adaptive_avg_pool2d),
}
"""Pools each channel's image on its own, and makes of a constant one the same constant."""
FLATTENS = {nn.Flatten, torch.flatten, "flatten"}


@dataclass(frozen=True)
class Chain:
    """``consumer`` is all that reads ``producer``; on the way only the ``activations`` change a constant unit.

    ``norms`` names the local response norms on the way. A unit counts for its neighbours there, unless it is zero.
    """

    producer: Weighted
    activations: tuple[Step, ...]
    consumer: Weighted
    norms: tuple[str, ...] = ()

    def propagate_constant(self, constants: Tensor) -> Tensor:
        """Return what the consumer gets of units that have constant values; both of shape ``(units,)``.

        It is no number where a norm makes it depend on other units.
        """
        for activation in self.activations:
            constants = activation(constants.clone())  # some work in place
        return constants


def find_chains(model: nn.Module) -> list[Chain]:
    """Return all chains of a model in evaluation mode; none if it cannot be traced."""
    try:
        graph = fx.symbolic_trace(model).graph
    except Exception:  # it is the user's code, so anything can come out of it
        return []
    layers = _layers(model, graph)
    norms = _norms(model, graph)
    chains = (_follow(node, model, layers, norms) for node in graph.nodes if node in layers)
    return [chain for chain in chains if chain is not None]


def _layers(model: nn.Module, graph: fx.Graph) -> dict[fx.Node, Weighted]:
    """Return the calls of layers whose weights can change their shape: used once, at one place, and untouched."""
    calls = _calls(model, graph)
    uses = Counter(calls.values())
    owners = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    return {
        node: layer
        for node, layer in calls.items()
        if (type(layer) is nn.Linear or (type(layer) is nn.Conv2d and layer.groups == 1))
        and uses[layer] == 1
        and all(owners[id(parameter)] == 1 for parameter in layer.parameters())
        and node.target not in read
    }


def _norms(model: nn.Module, graph: fx.Graph) -> set[fx.Node]:
    """Return the calls of local response norms that are used once."""
    calls = _calls(model, graph)
    uses = Counter(calls.values())
    return {node for node, norm in calls.items() if type(norm) is nn.LocalResponseNorm and uses[norm] == 1}


def _calls(model: nn.Module, graph: fx.Graph) -> dict[fx.Node, nn.Module]:
    modules = dict(model.named_modules())
    return {node: modules[str(node.target)] for node in graph.nodes if node.op == "call_module"}


def _follow(
    node: fx.Node, model: nn.Module, layers: Mapping[fx.Node, Weighted], norms: Container[fx.Node]
) -> Chain | None:
    producer, activations, passed = layers[node], list[Step](), list[str]()
    image = type(producer) is nn.Conv2d
    flat = not image
    while len(node.users) == 1:
        [reader] = node.users
        kind = _kind(reader, model)
        if reader.all_input_nodes != [node] or reader.args[:1] != (node,):
            return None  # reads others too, or reads it by a keyword
        if reader in layers:
            chain = Chain(producer, tuple(activations), layers[reader], tuple(passed))
            return chain if _fits(chain, flat) else None
        if kind in ACTIVATIONS:
            activations.append(_step(reader, model))
        elif reader in norms and not flat:
            activations.append(_among_others)
            passed.append(str(reader.target))
        elif kind in FLATTENS and image and _keeps_the_batch(reader, model):
            flat = True
        elif not (kind in NOTHING or (kind in POOLS and not flat)):
            return None
        node = reader
    return None


def _fits(chain: Chain, flat: bool) -> bool:
    """Tell whether each unit is a block of the consumer's inputs: one input each, or a flattened image each."""
    units, inputs = len(chain.producer.weight), chain.consumer.weight.shape[1]
    if type(chain.producer) is type(chain.consumer):
        return units == inputs  # as what is flattened cannot be convolved
    return flat and type(chain.consumer) is nn.Linear and inputs % units == 0


def _kind(node: fx.Node, model: nn.Module) -> object:
    return type(model.get_submodule(str(node.target))) if node.op == "call_module" else node.target


def _step(node: fx.Node, model: nn.Module) -> Step:
    """Return the activation as a function of its input alone."""
    if node.op == "call_module":
        return model.get_submodule(str(node.target))
    function = getattr(torch.Tensor, node.target) if isinstance(node.target, str) else node.target
    return lambda constants: function(constants, *node.args[1:], **node.kwargs)


def _among_others(constants: Tensor) -> Tensor:
    """Return what is sure of units after a norm over several: zero stays zero, all else is no number."""
    return torch.where(constants == 0, constants, math.nan)


def _keeps_the_batch(node: fx.Node, model: nn.Module) -> bool:
    """Tell whether a flatten makes one row of each example: all dimensions but the first."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return isinstance(module, nn.Flatten) and module.start_dim == 1 and module.end_dim == -1
    return (node.args[1:], node.kwargs) in (((1,), {}), ((), {"start_dim": 1}))
