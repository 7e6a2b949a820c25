"""Structured sparsity: what the group lasso costs in accuracy, and how much smaller and faster the baked model is.

Five nodes of the 4-class, 437-image case learn with the daemon's learner and its defaults; each exports its personal
model, which is without its dead channels. Of the alexnet two of them are run, for few rounds. Latency is against the
model as built, on one core. Strengths are compared on validation images; the accuracy shown is that on the test images
of a node's own classes. Finished runs are kept in --results and not run again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.accuracy.cases import CASES, NodeData, World, build_world, missing_data
from benchmarks.accuracy.masks import Lockstep, learners_of
from benchmarks.finished_runs import FinishedRuns, add_results_option
from benchmarks.report import Column, Report, Row, argument_parser, interleaved, median_ratio, publish
from dslnode.data.dataset import Examples
from dslnode.learning.evaluation import EVALUATION_BATCH
from dslnode.learning.export import PersonalModel
from dslnode.protocol.messages import Exchange
from dslnode.simulation.methods.network import tensors

NODES = 5  # each class is then held by two
CASE = replace(CASES["4-classes-437"], nodes=NODES, images_per_class=2 * 437 // 4, graph="complete")
TURNS = 20
CALLS = {1: 8, 32: 1}  # of the model in a turn, by batch
ALLOWED_LOSS = 1.0  # points of validation accuracy that the chosen strength may cost
TITLE = "Structured sparsity, a node's defaults; means over seeds and nodes"
COLUMNS = (
    Column("model", "model"),
    Column("keep_ratio", "keep ratio", ".1f"),
    Column("group_lasso", "group lasso", "g"),
    Column("seeds", "seeds"),
    Column("validation", "validation, %", ".1f"),
    Column("accuracy", "accuracy, %", ".1f"),
    Column("channels", "channels left"),
    Column("weights", "weights left, %", ".1f"),
    Column("kept", "of these kept, % of all", ".1f"),
    Column("multiply_adds", "multiply-adds left, %", ".1f"),
    Column("latency_1_ms", "batch 1, ms", ".3f"),
    Column("latency_1", "to dense", ".2f"),
    Column("latency_32_ms", "batch 32, ms", ".2f"),
    Column("latency_32", "to dense", ".2f"),
)


@dataclass(frozen=True)
class Subject:
    """What is measured of a model: which keep ratios and strengths, over which seeds, after how many rounds."""

    keep_ratios: tuple[float, ...]
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]
    rounds: int
    nodes: int = NODES  # the first ones of the case that take part
    test_per_class: int | None = None  # test images of each class; None: all


SUBJECTS = {
    "mlp": Subject((0.3,), (0.0, 0.001, 0.003), (1, 2, 3), 30),
    "cnn": Subject((0.3,), (0.0, 0.003), (1,), 25),
    "alexnet": Subject((0.1, 0.3, 0.5), (0.0, 0.01), (1,), 7, nodes=2, test_per_class=100),
}
QUICK_SUBJECTS = {
    "mlp": Subject((0.3,), (0.0, 0.003), (1,), 15),
    "cnn": Subject((0.3,), (0.0, 0.003), (1,), 15),
    "alexnet": Subject((0.3,), (0.0, 0.01), (1,), 3, nodes=2, test_per_class=50),
}


@dataclass(frozen=True)
class Run:
    """One network of nodes that is trained and measured; by this a finished run is known again."""

    model: str
    keep_ratio: float
    group_lasso: float
    seed: int
    rounds: int
    nodes: int
    test_per_class: int | None


def main() -> int:
    """Run the benchmark."""
    chosen = _arguments()
    complaint = missing_data(CASE)
    if complaint:
        print(complaint, file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    finished = FinishedRuns(chosen.results)
    subjects = {name: (QUICK_SUBJECTS if chosen.quick else SUBJECTS)[name] for name in chosen.models}
    rows = [row for name, subject in subjects.items() for row in _rows(name, subject, finished)]
    publish(TITLE, COLUMNS, Report(rows, dict(_summary(rows))), chosen.json)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--models", type=_models, default=tuple(SUBJECTS), metavar="NAMES",
                        help="of " + ",".join(SUBJECTS) + " (default: all)")  # fmt: skip
    add_results_option(parser, "structured")
    return parser.parse_args()


def _models(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= SUBJECTS.keys():
        raise argparse.ArgumentTypeError(f"{text!r} has other models than {', '.join(SUBJECTS)}")
    return names


def result_of(run: Run, finished: FinishedRuns) -> Row:
    """Return what was measured of a run, and measure it if that was not done yet."""

    def measured() -> Row:
        figures = _measured(run)
        print(f"{run}: {figures['accuracy']:.1f} %, {figures['weights']:.1f} % of the weights", flush=True)
        return figures

    return finished.of(asdict(run), measured)


def _rows(model: str, subject: Subject, finished: FinishedRuns) -> Iterator[Row]:
    """Yield one row per keep ratio and strength: means over seeds and nodes."""
    for ratio in subject.keep_ratios:
        for strength in subject.strengths:
            runs = [
                result_of(
                    Run(model, ratio, strength, seed, subject.rounds, subject.nodes, subject.test_per_class), finished
                )
                for seed in subject.seeds
            ]
            row: Row = {"model": model, "keep_ratio": ratio, "group_lasso": strength, "seeds": len(runs)}
            row |= {key: statistics.mean(run[key] for run in runs) for key in runs[0] if key != "outputs"}
            row["of_seeds"] = [round(run["accuracy"], 2) for run in runs]
            outputs = zip(*(run["outputs"] for run in runs), strict=True)
            row["channels"] = " / ".join(f"{statistics.mean(layer):.0f}" for layer in outputs)
            yield row


def _measured(run: Run) -> Row:
    torch.manual_seed(run.seed)
    world = _with_nodes(build_world(CASE, run.model, run.seed, run.test_per_class), run.nodes)
    return _figures(_learned(world, run), world)


def _with_nodes(world: World, count: int) -> World:
    """Return the world of the first nodes alone; each has the data that it has among all."""
    neighbours = tuple(tuple(peer for peer in peers if peer < count) for peers in world.neighbours[:count])
    return replace(world, nodes=world.nodes[:count], neighbours=neighbours)


@torch.no_grad()
def _figures(personal: Sequence[PersonalModel], world: World) -> Row:
    """Return accuracies, sizes and latencies of the nodes' models, means over the nodes."""
    classes = torch.zeros(world.nodes[0].train.class_count)
    dense = PersonalModel(world.model(), classes, torch.tensor(0.0), torch.tensor(1.0)).eval()
    image = tensors(world.nodes[0].test)[0][:1]
    row: Row = {
        "validation": _mean_accuracy(personal, world, lambda data: data.validation),
        "accuracy": _mean_accuracy(personal, world, lambda data: data.test),
        "outputs": [statistics.mean(layer) for layer in zip(*map(_hidden_outputs, personal), strict=True)],
        "weights": 100 * statistics.mean(map(_weights, personal)) / _weights(dense),
        "kept": 100 * statistics.mean(map(_kept_weights, personal)) / _weights(dense),
    }
    counts = [_multiply_adds(one, image) for one in personal]
    row["multiply_adds"] = 100 * statistics.mean(counts) / _multiply_adds(dense, image)
    return row | _latencies(personal, dense, world)


def _learned(world: World, run: Run) -> list[PersonalModel]:
    """Return the nodes' exported models."""
    learners = learners_of(world, {"keep_ratio": run.keep_ratio, "group_lasso": run.group_lasso})
    nodes = Lockstep(learners, world.neighbours, Exchange.SIGN)
    for number in range(run.rounds):
        nodes.round(number)
    return [learner.export() for learner in learners]


def _mean_accuracy(personal: Sequence[nn.Module], world: World, part: Callable[[NodeData], Examples]) -> float:
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


def _kept_weights(model: nn.Module) -> int:
    return sum(int(parameter.count_nonzero()) for parameter in model.parameters())


def _multiply_adds(model: nn.Module, image: Tensor) -> int:
    """Return the multiply-adds that one image takes, by torch's own count of operations (two each)."""
    with FlopCounterMode(display=False) as counter:
        model(image)
    return int(counter.get_total_flops()) // 2


def _latencies(personal: Sequence[nn.Module], dense: nn.Module, world: World) -> Row:
    """Return milliseconds per call and the ratio to the dense model's, means over the nodes, by batch."""
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


def _summary(rows: Sequence[Row]) -> Iterator[tuple[str, object]]:
    """Yield, for each model and keep ratio, the strongest lasso that validation allows and what it brings."""
    for model, ratio in dict.fromkeys((row["model"], row["keep_ratio"]) for row in rows):
        own = [row for row in rows if (row["model"], row["keep_ratio"]) == (model, ratio)]
        allowed = [row for row in own if row["validation"] >= own[0]["validation"] - ALLOWED_LOSS]
        best = max(allowed, key=lambda row: float(row["group_lasso"]))
        name = f"{model}_{ratio}"
        yield f"{name}_chosen_group_lasso", best["group_lasso"]
        yield f"{name}_accuracy_change", best["accuracy"] - own[0]["accuracy"]
        yield f"{name}_dense_ms_at_batch_1_and_32", f"{best['dense_1_ms']:.3f}, {best['dense_32_ms']:.2f}"


if __name__ == "__main__":
    sys.exit(main())
