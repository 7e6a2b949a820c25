"""Structured sparsity: what the group lasso costs in accuracy, and how much smaller and faster the baked model is.

Five nodes of the 4-class, 437-image case learn with the daemon's learner; each exports its personal model, which is
without its dead channels. Latency is against the model as built, on one core. Strengths are compared on validation
images; the accuracy shown is that on the test images of a node's own classes.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.accuracy.cases import CASES, NodeData, World, build_world, missing_data
from benchmarks.accuracy.masks import Lockstep, learners_of
from benchmarks.report import Column, Report, Row, arguments, interleaved, median_ratio, publish
from dslnode.data.dataset import Examples
from dslnode.learning.evaluation import EVALUATION_BATCH
from dslnode.learning.export import PersonalModel
from dslnode.protocol.messages import Exchange
from dslnode.simulation.methods.network import tensors

NODES = 5  # each class is then held by two
CASE = replace(CASES["4-classes-437"], nodes=NODES, images_per_class=2 * 437 // 4, graph="complete")
MODELS = ("mlp", "cnn")
STRENGTHS = (0.0, 0.3, 0.6, 1.0)
OWN_SCORES = {"exchange": "keep", "weights_per_score": 1, "local_steps": 10, "alpha": 4.0}  # channels have their own
THIN_CHANNEL = 0.5  # with any lasso: what is left with less than half its weights goes too
SEEDS, QUICK_SEEDS = (1, 2, 3), (1,)
ROUNDS, QUICK_ROUNDS = 30, 15
TURNS = 40
CALLS = {1: 8, 32: 1}  # of the model in a turn, by batch
ALLOWED_LOSS = 1.0  # points of validation accuracy that the chosen strength may cost
TITLE = f"Structured sparsity; with any lasso also --min-channel-fraction {THIN_CHANNEL}; means over seeds and nodes"
COLUMNS = (
    Column("model", "model"),
    Column("group_lasso", "group lasso", ".1f"),
    Column("validation", "validation, %", ".1f"),
    Column("accuracy", "accuracy, %", ".1f"),
    Column("channels", "channels left"),
    Column("weights", "weights left, %", ".1f"),
    Column("multiply_adds", "multiply-adds left, %", ".1f"),
    Column("latency_1_ms", "batch 1, ms", ".3f"),
    Column("latency_1", "to dense", ".2f"),
    Column("latency_32_ms", "batch 32, ms", ".2f"),
    Column("latency_32", "to dense", ".2f"),
)


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    complaint = missing_data(CASE)
    if complaint:
        print(complaint, file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    rows = [row for model in MODELS for row in _rows(model, chosen.quick)]
    publish(TITLE, COLUMNS, Report(rows, dict(_summary(rows))), chosen.json)
    return 0


def _rows(model: str, quick: bool) -> Iterator[Row]:
    """Yield one row a strength: means over seeds and nodes."""
    for strength in (STRENGTHS[0], STRENGTHS[2]) if quick else STRENGTHS:
        runs = [_run(model, strength, seed, quick) for seed in (QUICK_SEEDS if quick else SEEDS)]
        row: Row = {"model": model, "group_lasso": strength}
        row |= {key: statistics.mean(run[key] for run in runs) for key in runs[0] if key != "outputs"}
        row["of_seeds"] = [round(run["accuracy"], 2) for run in runs]
        outputs = zip(*(run["outputs"] for run in runs), strict=True)
        row["channels"] = " / ".join(f"{statistics.mean(layer):.0f}" for layer in outputs)
        yield row


@torch.no_grad()
def _run(model: str, strength: float, seed: int, quick: bool) -> Row:
    torch.manual_seed(seed)
    world = build_world(CASE, model, seed)
    personal = _learned(world, strength, QUICK_ROUNDS if quick else ROUNDS)
    dense = PersonalModel(
        world.model(), torch.zeros(world.nodes[0].train.class_count), torch.tensor(0.0), torch.tensor(1.0)
    ).eval()
    image = tensors(world.nodes[0].test)[0][:1]
    row: Row = {
        "validation": _mean_accuracy(personal, world, lambda data: data.validation),
        "accuracy": _mean_accuracy(personal, world, lambda data: data.test),
        "outputs": [statistics.mean(layer) for layer in zip(*map(_hidden_outputs, personal), strict=True)],
        "weights": 100 * statistics.mean(map(_weights, personal)) / _weights(dense),
    }
    counts = [_multiply_adds(one, image) for one in personal]
    row["multiply_adds"] = 100 * statistics.mean(counts) / _multiply_adds(dense, image)
    return row | _latencies(personal, dense, world)


def _learned(world: World, strength: float, rounds: int) -> list[nn.Module]:
    """Return the nodes' exported models after so many rounds."""
    options = {**OWN_SCORES, "group_lasso": strength, "min_channel_fraction": THIN_CHANNEL if strength else 0.0}
    learners = learners_of(world, options)
    nodes = Lockstep(learners, world.neighbours, Exchange.KEEP)
    with torch.enable_grad():
        for number in range(rounds):
            nodes.round(number)
    return [learner.export() for learner in learners]


def _mean_accuracy(personal: list[nn.Module], world: World, part: Callable[[NodeData], Examples]) -> float:
    pairs = zip(personal, world.nodes, strict=True)
    return 100 * statistics.mean(_accuracy(model, part(data)) for model, data in pairs)


def _accuracy(model: nn.Module, examples: Examples) -> float:
    images, labels = tensors(examples)
    answers = torch.cat([model(some).argmax(dim=1) for some in images.split(EVALUATION_BATCH)])
    return float((answers == labels).float().mean())


def _hidden_outputs(model: nn.Module) -> list[int]:
    """Return the channels or units of every layer but the last, whose outputs are the classes."""
    return [len(parameter) for parameter in model.parameters() if parameter.ndim > 1][:-1]


def _weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _multiply_adds(model: nn.Module, image: Tensor) -> int:
    """Return the multiply-adds that one image takes, by torch's own count of operations (two each)."""
    with FlopCounterMode(display=False) as counter:
        model(image)
    return int(counter.get_total_flops()) // 2


def _latencies(personal: list[nn.Module], dense: nn.Module, world: World) -> Row:
    """Return seconds a call and the ratio to the dense model's, means over the nodes, by batch."""
    row: Row = {}
    for batch, calls in CALLS.items():
        images = tensors(world.nodes[0].test)[0][:batch].contiguous()
        variants = {str(number): _calling(model, images, calls) for number, model in enumerate(personal)}
        seconds = interleaved({"dense": _calling(dense, images, calls), **variants}, TURNS)
        own = [seconds[name] for name in variants]
        row[f"latency_{batch}_ms"] = statistics.mean(1000 * statistics.median(taken) / calls for taken in own)
        row[f"dense_{batch}_ms"] = 1000 * statistics.median(seconds["dense"]) / calls
        row[f"latency_{batch}"] = statistics.mean(median_ratio(taken, seconds["dense"]) for taken in own)
    return row


def _calling(model: nn.Module, images: Tensor, calls: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(calls):
            model(images)

    return run


def _summary(rows: list[Row]) -> Iterator[tuple[str, object]]:
    """Yield, for each model, the strongest lasso that validation allows and what it brings."""
    for model in MODELS:
        own = [row for row in rows if row["model"] == model]
        allowed = [row for row in own if row["validation"] >= own[0]["validation"] - ALLOWED_LOSS]
        best = max(allowed, key=lambda row: float(row["group_lasso"]))
        yield f"{model}_chosen_group_lasso", best["group_lasso"]
        yield f"{model}_accuracy_change", best["accuracy"] - own[0]["accuracy"]
        yield f"{model}_dense_ms_at_batch_1_and_32", f"{best['dense_1_ms']:.3f}, {best['dense_32_ms']:.2f}"


if __name__ == "__main__":
    sys.exit(main())
