"""A pretrained frozen network against the seeded one: ``python -m benchmarks.frozen``.

The cnn is trained on five classes of Fashion-MNIST. Four nodes with 15 images of each of the five others then learn:
all weights from scratch, all weights from the pretrained ones (fine-tuning), masks over the seeded network, and masks
over the pretrained one, whose last layer is seeded. Masks travel between all four. Figures are of test images; keep
ratio and spread of the scores were chosen on training images that nothing here trains on.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import dslnode
from benchmarks.daemons import FASHION_MNIST
from benchmarks.report import Column, Report, Row, arguments, publish
from benchmarks.tables.learning import gossip
from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.learning.learner import Learner
from dslnode.learning.models import cnn
from dslnode.learning.pretrained import PretrainedNetwork

BEFORE, AFTER = (0, 2, 5, 7, 8), (1, 3, 4, 6, 9)
CLASSES, NODES, IMAGES, BATCH = 10, 4, 15, 32
PRETRAINING_STEPS, ROUNDS, QUICK_ROUNDS = 800, 24, 6
STEPS_PER_ROUND = dslnode.TrainingOptions().local_steps
SEEDS = (1, 2, 3)
HEAD = "9.weight"
COLUMNS = (
    Column("method", "method"),
    Column("accuracy", "accuracy, %", ".1f"),
    Column("worst", "worst node", ".1f"),
    Column("least", "least seed", ".1f"),
    Column("keep_ratio", "keep ratio", ".1f"),
)


def main() -> None:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    torch.set_num_threads(1)
    rounds, seeds = (QUICK_ROUNDS, SEEDS[:1]) if chosen.quick else (ROUNDS, SEEDS)
    found: dict[str, list[list[float]]] = {}
    for seed in seeds:
        for method, accuracies in run(seed, rounds).items():
            found.setdefault(method, []).append(accuracies)
    rows = [row(method, runs) for method, runs in found.items()]
    means = {each["method"]: each["accuracy"] for each in rows}
    gains = {f"pretrained_over_{other.replace(' ', '_')}": means["masks, pretrained"] - means[other] for other in means}
    del gains["pretrained_over_masks,_pretrained"]
    publish("A pretrained frozen network", COLUMNS, Report(rows, gains), chosen.json)


def row(method: str, runs: Sequence[Sequence[float]]) -> Row:
    """Return a method's figures over seeds and nodes."""
    start = dslnode.InitializationOptions(network_seed=1, node_seed=1)
    ratios = {"masks, seeded": start.keep_ratio, "masks, pretrained": start.pretrained_keep_ratio}
    means = [100 * statistics.mean(run) for run in runs]
    worst = 100 * min(min(run) for run in runs)
    figures = {"accuracy": statistics.mean(means), "worst": worst, "least": min(means)}
    return {"method": method, **figures, "keep_ratio": ratios.get(method)}


def run(seed: int, rounds: int) -> dict[str, list[float]]:
    """Return each method's accuracies, by node."""
    draws = np.random.default_rng(seed)
    whole = load_data_set(f"idx:{FASHION_MNIST}")
    assert whole.held_out is not None
    nodes = [_of_classes(whole.train, AFTER, draws, IMAGES) for _ in range(NODES)]
    test = _of_classes(whole.held_out, AFTER)
    base = _trained(_fresh(seed), _of_classes(whole.train, BEFORE), BEFORE, PRETRAINING_STEPS, batch=64)
    body = {name: tensor for name, tensor in base.state_dict().items() if name != HEAD}
    pretrained = PretrainedNetwork({name: tensor.numpy() for name, tensor in body.items()})
    steps = rounds * STEPS_PER_ROUND
    tuned = []
    for start in ({}, body):
        models = [_fresh(seed) for _ in nodes]
        for model, node in zip(models, nodes, strict=True):
            model.load_state_dict(start, strict=False)
            _trained(model, node, AFTER, steps, batch=BATCH)
        tuned.append([_accuracy(model, test, AFTER) for model in models])
    masked = [
        [_accuracy(learner.export(), test, AFTER) for learner in _learned(nodes, seed, rounds, network)]
        for network in (None, pretrained)
    ]
    names = ("dense from scratch", "dense, fine-tuned", "masks, seeded", "masks, pretrained")
    return dict(zip(names, (*tuned, *masked), strict=True))


def _learned(nodes: Sequence[Examples], seed: int, rounds: int, network: PretrainedNetwork | None) -> list[Learner]:
    learners = [
        Learner(
            _fresh(seed),
            DataSet(node, None, CLASSES, "five classes"),
            dslnode.TrainingOptions(),
            dslnode.InitializationOptions(network_seed=seed, node_seed=number),
            pretrained=network,
        )
        for number, node in enumerate(nodes)
    ]
    return gossip(learners, rounds)


def _fresh(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return cnn((1, 28, 28), CLASSES)


def _of_classes(
    examples: Examples, classes: Sequence[int], draws: np.random.Generator | None = None, images: int | None = None
) -> Examples:
    order = np.arange(len(examples)) if draws is None else draws.permutation(len(examples))
    places = [order[examples.labels[order] == label][:images] for label in classes]
    return examples.take(np.sort(np.concatenate(places)))


def _trained(model: nn.Module, examples: Examples, classes: Sequence[int], steps: int, *, batch: int) -> nn.Module:
    images, labels = torch.from_numpy(examples.images), torch.from_numpy(examples.labels)
    offset, optimiser = _offset(classes), torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(steps):
        chosen = torch.randint(len(labels), (batch,))
        loss = cross_entropy(model(images[chosen]) + offset, labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


@torch.no_grad()
def _accuracy(model: Callable[[Tensor], Tensor], test: Examples, classes: Sequence[int]) -> float:
    answers = (model(torch.from_numpy(test.images)) + _offset(classes)).argmax(dim=1)
    return float((answers.numpy() == test.labels).mean())


def _offset(classes: Sequence[int]) -> Tensor:
    offset = torch.full((CLASSES,), -1e9)
    offset[list(classes)] = 0
    return offset


if __name__ == "__main__":
    main()
