"""Gain of learning together: real ``dslnode start`` processes with and without peers, the same data and rounds.

``--picture`` draws docs/results/together.svg: the mean accuracy of the second case's nodes against rounds.

Every case is run for several seeds; each seed draws other shares, another frozen network and other minibatches.
Accuracy is measured on all held-out images of a node's own classes, once, after the last round. What there is to gain
is what a node gains that holds its neighbours' images of its classes, too. Finished runs are kept in ``--results`` and
not run again.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.daemons import FASHION_MNIST
from benchmarks.finished_runs import FinishedRuns, add_results_option
from benchmarks.pooled_data import pooled_accuracies
from benchmarks.report import Column, Report, Row, argument_parser, publish
from dslnode.cli.daemon_process import Event
from dslnode.cli.demo_nodes import Plan, plan_nodes, run_nodes
from dslnode.cli.testbed_log import latest_round

COLUMNS = (
    Column("case", "case"),
    Column("seed_count", "seeds"),
    Column("alone", "alone", ".1f"),
    Column("together", "together", ".1f"),
    Column("gain", "gain", "+.1f"),
    Column("least_gain", "least gain of a seed", "+.1f"),
    Column("pooled_gain", "gain of pooled data", "+.1f"),
    Column("worst_alone", "worst node alone", ".1f"),
    Column("worst_together", "worst node together", ".1f"),
    Column("payload_bits_a_weight", "bits a weight, round and neighbour", ".3f"),
)
DRAWN_EVERY = 6
"""Rounds between two points of the picture."""


@dataclass(frozen=True)
class Outcome:
    """One run of one case: every node's accuracy in percent, and the mask bits that all nodes sent together."""

    accuracies: list[float]
    bits: int
    float32_bits: int


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--picture", action="store_true", help="draw docs/results/together.svg and measure nothing")
    parser.add_argument("--cases", type=int, nargs="+", metavar="NUMBER", help="only these, in their order from 1")
    add_results_option(parser, "together")
    options = parser.parse_args()
    if options.picture:
        draw(list(cases(quick=True).values())[-1], Path("docs/results/together.svg"))
        return
    seeds = range(1, 2 if options.quick else 6)
    finished = FinishedRuns(options.results)
    plans = list(cases(quick=options.quick).items())
    chosen = plans if options.cases is None else [plans[number - 1] for number in options.cases]
    report = Report([measure(name, plan, seeds, finished) for name, plan in chosen])
    report.summary = {"least_mean_gain": min(row["gain"] for row in report.rows)}
    publish("personal accuracy, percent", COLUMNS, report, options.json)


def cases(*, quick: bool) -> dict[str, Plan]:
    """Return the cases by name; without Fashion-MNIST on this machine only the digits remain."""
    plans = {"digits, 4 nodes, 6 classes, 3 images a class": Plan(4, 42, "digits", "classes:6", 3)}
    if not FASHION_MNIST.exists():
        print(f"{FASHION_MNIST} is not here (Debian's dataset-fashion-mnist): only the digits are measured")
        return plans
    clothes = Plan(4, 60, f"idx:{FASHION_MNIST}", "even", 15, evaluate_every=60)
    plans["Fashion-MNIST, 4 nodes, 10 classes, 15 images a class"] = clothes
    if not quick:
        plans["Fashion-MNIST, 3 nodes, 10 classes, 15 images a class"] = replace(clothes, count=3)
        plans["Fashion-MNIST, 4 nodes, 6 classes, 15 images a class"] = replace(clothes, split="classes:6")
        plans["Fashion-MNIST, 4 nodes, 4 classes, 15 images a class"] = replace(clothes, split="classes:4")
        plans["Fashion-MNIST, 4 nodes, 10 classes, 50 images a class"] = replace(clothes, samples_per_class=50)
        plans["Fashion-MNIST, 4 nodes, 4 classes, 50 images a class"] = replace(
            clothes, split="classes:4", samples_per_class=50
        )
    return plans


def measure(name: str, plan: Plan, seeds: range, finished: FinishedRuns) -> Row:
    """Return one row: the case's mean over seeds, alone and together."""
    pairs = [
        [outcome_of(replace(plan, seed=seed, linked=linked), finished) for linked in (True, False)] for seed in seeds
    ]
    together, alone = zip(*pairs, strict=True)
    pooled = [pooled_mean(replace(plan, seed=seed), finished) for seed in seeds]
    gains = [
        statistics.mean(joint.accuracies) - statistics.mean(local.accuracies)
        for joint, local in zip(together, alone, strict=True)
    ]
    row: Row = {
        "case": name,
        "seed_count": len(seeds),
        "alone": statistics.mean(statistics.mean(outcome.accuracies) for outcome in alone),
        "together": statistics.mean(statistics.mean(outcome.accuracies) for outcome in together),
        "gain": statistics.mean(gains),
        "least_gain": min(gains),
        "pooled_gain": statistics.mean(pooled) - statistics.mean(statistics.mean(local.accuracies) for local in alone),
        "worst_alone": statistics.mean(min(outcome.accuracies) for outcome in alone),
        "worst_together": statistics.mean(min(outcome.accuracies) for outcome in together),
        "payload_bits_a_weight": 32 * statistics.mean(outcome.bits / outcome.float32_bits for outcome in together),
    }
    print(f"{name}: {row['alone']:.1f} alone, {row['together']:.1f} together", flush=True)
    return row


def outcome_of(plan: Plan, finished: FinishedRuns) -> Outcome:
    """Return the outcome of a finished run, or run it."""
    return Outcome(**finished.of(asdict(plan), lambda: asdict(run(plan))))


def pooled_mean(plan: Plan, finished: FinishedRuns) -> float:
    """Return the mean accuracy of a plan's nodes with pooled data, of a finished run or measured now."""
    kept = finished.of({"pooled": True, **asdict(plan)}, lambda: {"accuracies": pooled_accuracies(plan)})
    return statistics.mean(map(float, kept["accuracies"]))


def run(plan: Plan) -> Outcome:
    """Run the plan's processes to their end."""
    with TemporaryDirectory() as directory:
        nodes = plan_nodes(Path(directory), plan)
        run_nodes(nodes, lambda: None)
        latest = [latest_round(node.log) for node in nodes]
    return Outcome(
        [100 * float(line["accuracy"]) for line in latest],
        sum(line["bits_sent"] for line in latest),
        sum(line["float32_bits"] for line in latest),
    )


def curves(plan: Plan) -> list[list[Event]]:
    """Return the log lines of every node's measured rounds; those between repeat the last accuracy."""
    with TemporaryDirectory() as directory:
        nodes = plan_nodes(Path(directory), plan)
        run_nodes(nodes, lambda: None)
        lines = [map(json.loads, node.log.read_text(encoding="utf-8").splitlines()) for node in nodes]
    rounds = [[line for line in own if line["event"] == "round" and "accuracy" in line] for own in lines]
    return [[*own[: -1 : plan.evaluate_every], own[-1]] for own in rounds]


def draw(plan: Plan, file: Path) -> None:
    """Draw accuracy against rounds, together and alone, for three seeds of a plan."""
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    figure, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    for linked, colour, label in ((True, "#0b7285", "together"), (False, "#868e96", "alone")):
        for seed in (1, 2, 3):
            measured = curves(replace(plan, seed=seed, linked=linked, evaluate_every=DRAWN_EVERY))
            means = [statistics.mean(100 * line["accuracy"] for line in lines) for lines in zip(*measured, strict=True)]
            axes.plot([line["round"] for line in measured[0]], means, color=colour, label=label if seed == 1 else None)
    axes.set(xlabel="round", ylabel="personal accuracy, %", title="Four daemons, Fashion-MNIST, 15 images a class each")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
