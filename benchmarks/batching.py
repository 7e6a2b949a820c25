"""Would the accuracy benchmark be faster if all its nodes took a step as one batch? Twenty gradients, both ways.

One by one, as it is, a second core is used by a second run: half the time each. Batched (``torch.func.vmap`` over the
nodes' weights) it must be faster than one by one on one thread, or twice as fast on two, to pay.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from benchmarks.report import Column, Report, Row, arguments, interleaved, median_ratio, publish
from dslnode.learning.models import cnn, mlp

NODES, BATCH, CLASSES = 20, 32, 10
SHAPE = (1, 28, 28)
MODELS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {"mlp": mlp, "cnn": cnn}
COLUMNS = (
    Column("model", "model"),
    Column("one_thread", "batched / one by one, one thread", ".2f"),
    Column("two_threads", "batched on two threads / one by one on one", ".2f"),
)


def main() -> None:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    rows = [_measure(name, 5 if chosen.quick else 30) for name in MODELS]
    publish("The gradients of one step of twenty nodes", COLUMNS, Report(rows), chosen.json)


def _measure(name: str, repetitions: int) -> Row:
    singly, batched = ways(MODELS[name](SHAPE, CLASSES))
    variants = {"singly": _on(1, singly), "one": _on(1, batched), "two": _on(2, batched)}
    seconds = interleaved(variants, repetitions)
    ratios = {key: median_ratio(seconds[key], seconds["singly"]) for key in ("one", "two")}
    return {"model": name, "one_thread": ratios["one"], "two_threads": ratios["two"]}


def ways(model: nn.Module) -> tuple[Callable[[], dict[str, Tensor]], Callable[[], dict[str, Tensor]]]:
    """Return two functions that give the gradients of all nodes, stacked: one by one, and batched."""
    draws = torch.Generator().manual_seed(1)
    weights = {
        name: torch.stack([p.detach() + 0.01 * torch.randn(p.shape, generator=draws) for _ in range(NODES)])
        for name, p in model.named_parameters()
    }
    images = torch.rand((NODES, BATCH, *SHAPE), generator=draws)
    labels = torch.randint(CLASSES, (NODES, BATCH), generator=draws)

    def loss(own: dict[str, Tensor], pictures: Tensor, truth: Tensor) -> Tensor:
        return cross_entropy(functional_call(model, own, (pictures,)), truth)

    def singly() -> dict[str, Tensor]:
        found = [_gradient(loss, {k: w[node] for k, w in weights.items()}, images[node], labels[node])
                 for node in range(NODES)]  # fmt: skip
        return {name: torch.stack([one[name] for one in found]) for name in weights}

    def batched() -> dict[str, Tensor]:
        gradients: dict[str, Tensor] = vmap(grad(loss))(weights, images, labels)
        return gradients

    return singly, batched


def _gradient(
    loss: Callable[[dict[str, Tensor], Tensor, Tensor], Tensor], own: dict[str, Tensor], images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    leaves = {name: weight.requires_grad_() for name, weight in own.items()}
    return dict(zip(leaves, torch.autograd.grad(loss(leaves, images, labels), list(leaves.values())), strict=True))


def _on(threads: int, work: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        torch.set_num_threads(threads)
        return work()

    return run


if __name__ == "__main__":
    main()
