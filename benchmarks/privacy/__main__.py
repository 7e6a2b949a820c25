"""Can somebody tell whether an example was among a node's training data? Membership inference, two attacks.

Of every node's candidates each run trains on another half. A loss threshold takes what a model is sure of for a member.
The likelihood ratio (LiRA) compares with shadow models, which are the other runs: the attacker has as much data of
the same kind, and as many models, as that. Everything is measured for the exported model, and for what a neighbour
holds of a node: the replica built from sign masks, or the last weights sent. 0.5 of the area is guessing.

Finished runs are kept in ``--results`` and not run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.accuracy.cases import Case, World, build_world, missing_data
from benchmarks.accuracy.methods import chosen_options
from benchmarks.finished_runs import FinishedRuns, add_results_option
from benchmarks.privacy.attacks import area, by_likelihood_ratio, by_loss, confidence, hits
from benchmarks.privacy.candidates import halves
from benchmarks.privacy.views import learned, views_of
from benchmarks.report import Column, Report, Row, argument_parser, publish
from dslnode.simulation.methods.network import tensors

# With 4 classes on 8 nodes a class is held by 3 or 4 of them
FULL = Case("Fashion-MNIST, 4 classes, 15 images a class", "classes:4", 2 * 48, nodes=8, graph="complete")
QUICK = Case("digits, 4 classes, 15 images a class", "classes:4", 2 * 15, nodes=4, graph="complete", data="digits")
METHODS = ("ours", "ours_binary", "masks_alone", "dense_alone", "dpsgd")
STEPS, QUICK_STEPS = 390, 120
RUNS, QUICK_RUNS = 8, 6
SEED = 1
COLUMNS = (
    Column("method", "method"),
    Column("seen", "what is seen"),
    Column("train", "accuracy on members", ".1f"),
    Column("test", "on strangers", ".1f"),
    Column("loss_area", "area, loss threshold", ".3f"),
    Column("loss_hits", "found at 1 % false alarms", ".1%"),
    Column("ratio_area", "area, likelihood ratio", ".3f"),
    Column("ratio_hits", "found at 1 % false alarms ", ".1%"),
)
Run = dict[str, Any]


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__ or "")
    add_results_option(parser, "privacy")
    options = parser.parse_args()
    case = QUICK if options.quick or missing_data(FULL) else FULL
    steps, count = (QUICK_STEPS, QUICK_RUNS) if options.quick else (STEPS, RUNS)
    world = build_world(case, "mlp", SEED, 1)
    finished = FinishedRuns(options.results)
    rows = []
    for method in METHODS:
        runs = [_run(world, method, steps, number, finished) for number in range(count)]
        rows += list(rows_of(method, runs))
    publish(f"membership inference, {case.name}, {count} runs", COLUMNS, Report(rows), options.json)


def rows_of(method: str, runs: list[Run]) -> Iterator[Row]:
    """Yield a row for each thing that is seen of a method's nodes."""
    member = np.array([run["member"] for run in runs], bool)
    for seen in runs[0]["views"]:
        sure = np.array([run["views"][seen] for run in runs])
        loss, ratio = by_loss(sure), by_likelihood_ratio(sure, member)
        yield {
            "method": method,
            "seen": seen,
            "train": 100 * float(np.mean(sure[member] > 0)),
            "test": 100 * float(np.mean(sure[~member] > 0)),
            "loss_area": area(loss, member),
            "loss_hits": hits(loss, member),
            "ratio_area": area(ratio, member),
            "ratio_hits": hits(ratio, member),
        }


def measure(world: World, method: str, steps: int, number: int) -> Run:
    """Return one run: which candidates of all nodes were members, and how sure each view is of every candidate."""
    half, chosen = halves(world, number)
    built = learned(half, method, chosen_options(method, "4-classes-15-each", "mlp"), steps)
    views = {}
    for name, view in views_of(method).items():
        sure = []
        for node, weights in enumerate(view(built)):
            images, labels = tensors(world.nodes[node].train.train)
            sure.append(confidence(built.network.logits(weights, node, images).numpy(), labels.numpy()))
        views[name] = np.concatenate(sure).round(5).tolist()
    return {"member": np.concatenate(chosen).astype(int).tolist(), "views": views}


def _run(world: World, method: str, steps: int, number: int, finished: FinishedRuns) -> Run:
    def measured() -> Run:
        run = measure(world, method, steps, number)
        print(f"{method}, run {number + 1}", flush=True)
        return run

    facts = {"case": world.case.name, "method": method, "steps": steps, "number": number}
    return finished.of(facts, measured)


if __name__ == "__main__":
    main()
