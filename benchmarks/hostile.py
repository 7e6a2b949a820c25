"""Cost of malicious neighbours for honest ones: virtual nodes, some of them hostile, with and without defence.

Hostile nodes keep to the protocol, so none of their messages is refused: they send scores that they did not learn.
Loss is in points of test accuracy, over the honest nodes, against the same nodes in the same network without
attack. ``silent`` nodes send nothing, which shows what the loss of their honest help alone costs.

Finished runs are kept in ``--results`` and not run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from statistics import mean

import torch
from torch import Tensor

from benchmarks.accuracy.cases import Case, World, build_world, missing_data
from benchmarks.accuracy.masks import Lockstep, node_settings
from benchmarks.finished_runs import FinishedRuns, add_results_option
from benchmarks.processes import processes
from benchmarks.report import Column, Report, Row, argument_parser, publish
from dslnode.config.settings import Settings
from dslnode.learning.learner import Learner
from dslnode.protocol.messages import Exchange
from dslnode.runtime.build import initialization_options, training_options
from dslnode.simulation.hostile import ATTACKS, SILENT, HostileLearner, hostile_nodes
from dslnode.simulation.methods.network import build_network
from dslnode.simulation.virtual_learner import CommonParts, VirtualLearner

FULL = Case("Fashion-MNIST, everybody linked with everybody", "classes:4", 4 * 15, nodes=10, graph="complete")
QUICK = Case("digits, random graph", "classes:4", 8 * 15, data="digits")
ROUNDS = 24
SEEDS = (1, 2, 3)
SHARES = (0.2, 0.1, 0.3)  # first what the goal is about, should the benchmark be interrupted
RULES = ("off", "clipped")


@dataclass(frozen=True)
class Job:
    """One run: the share of hostile nodes, and their attack (``kind``)."""

    case: Case
    seed: int
    rounds: int
    kind: str
    share: float
    rule: str


def accuracies(job: Job) -> list[float]:
    """Run the job; return the test accuracy of every node's personal model, percent."""
    torch.set_num_threads(1)
    world = build_world(job.case, "mlp", job.seed)
    hostile = set(_hostile_nodes(job))
    lockstep = Lockstep(learners := _learners(world, job, hostile), _links(world, job, hostile), Exchange.SIGN)
    for number in range(job.rounds):
        lockstep.round(number)
    lockstep.round(job.rounds - 1)
    network = build_network(world.cohort, own_classes=True)
    models = map(exported_weights, learners)
    return [100 * network.accuracy(own, i, world.nodes[i].test) for i, own in enumerate(models)]


def exported_weights(learner: Learner) -> Tensor:
    """Return the flat weights of the model that a node exports."""
    return learner.network.weights * learner.form.factors


def _hostile_nodes(job: Job) -> list[int]:
    return hostile_nodes(job.case.nodes, job.share, job.seed)


def _learners(world: World, job: Job, hostile: set[int]) -> list[VirtualLearner]:
    learners, common = list[VirtualLearner](), CommonParts()
    for i, data in enumerate(world.nodes):
        own = node_settings(world, i, {"robust_aggregation": job.rule})
        learner_type = HostileLearner if i in hostile else VirtualLearner
        start = initialization_options(own)
        learner = learner_type(world.model(), data.train, training_options(own), start, common=common)
        if isinstance(learner, HostileLearner):
            learner.attack = ATTACKS.get(job.kind, ATTACKS["inverted"])
        learners.append(learner)
    return learners


def _links(world: World, job: Job, hostile: set[int]) -> tuple[tuple[int, ...], ...]:
    """Return the graph, without the silent nodes' links."""
    gone = hostile if job.kind == SILENT else set()
    return tuple(
        () if i in gone else tuple(peer for peer in peers if peer not in gone)
        for i, peers in enumerate(world.neighbours)
    )


def jobs_of(
    case: Case, seeds: Sequence[int], rounds: int, kinds: Sequence[str], *, shares: Sequence[float] = SHARES
) -> Iterator[Job]:
    """Yield the runs without hostile nodes, then the others."""
    for seed, rule in product(seeds, RULES):
        yield Job(case, seed, rounds, SILENT, 0.0, rule)
    for share, seed, kind, rule in product(shares, seeds, kinds, RULES):
        yield Job(case, seed, rounds, kind, share, rule)


def rows_of(results: dict[Job, list[float]]) -> list[Row]:
    """Return a row per attack and share of hostile nodes: accuracy and loss of the honest nodes by rule, over seeds."""
    cases = sorted(dict.fromkeys((job.kind, job.share) for job in results), key=lambda case: case[1])
    return [{"kind": kind if share else "none", "hostile": 100 * share, **_figures(results, kind, share)}
            for kind, share in cases]  # fmt: skip


def _figures(results: dict[Job, list[float]], kind: str, share: float) -> Row:
    row: Row = {}
    for rule in RULES:
        jobs = [job for job in results if (job.kind, job.share, job.rule) == (kind, share, rule)]
        honest = [(job, i) for job in jobs for i in range(job.case.nodes) if i not in _hostile_nodes(job)]
        before = [results[replace(job, kind=SILENT, share=0.0, rule="off")][i] for job, i in honest]
        after = [results[job][i] for job, i in honest]
        row |= {f"{rule}_accuracy": mean(after), f"{rule}_loss": mean(before) - mean(after)}
    return row


COLUMNS = (
    Column("hostile", "hostile, %", ".0f"),
    Column("kind", "they say"),
    Column("off_accuracy", "accuracy, off", ".1f"),
    Column("off_loss", "lost", ".1f"),
    Column("clipped_accuracy", "accuracy, clipped", ".1f"),
    Column("clipped_loss", "lost", ".1f"),
)


def run(jobs: Sequence[Job], finished: FinishedRuns, count: int) -> dict[Job, list[float]]:
    """Do the runs that are not finished yet; return the accuracies of all."""
    waiting = [job for job in jobs if finished.find(asdict(job)) is None]
    with processes(count) as pool:
        for job, result in zip(waiting, pool.map(accuracies, waiting), strict=True):
            finished.add(asdict(job), {"accuracies": result})
            honest = mean(value for i, value in enumerate(result) if i not in _hostile_nodes(job))
            print(f"seed {job.seed}, {job.share:.0%} {job.kind}, {job.rule}: {honest:.1f} %", flush=True)
    measured = {job: finished.find(asdict(job)) for job in jobs}
    return {job: row["accuracies"] for job, row in measured.items() if row is not None}


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__ or "")
    add_results_option(parser, "hostile")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES), help="parts of the nodes that lie")
    options = parser.parse_args()
    complaint = missing_data(FULL)
    if complaint and not options.quick:
        raise SystemExit(complaint)
    case = QUICK if options.quick else FULL
    jobs = list(jobs_of(case, options.seeds, ROUNDS, (*ATTACKS, SILENT), shares=options.shares))
    results = run(jobs, FinishedRuns(options.results), options.processes)
    seeds = ", ".join(map(str, options.seeds))
    summary = {"rounds": ROUNDS, "seeds": seeds, "case": case.name, "nodes": case.nodes, "form": Settings().personal}
    report = Report(rows_of(results), summary)
    publish("accuracy of the honest nodes' personal models on the test images of their own classes, percent",
            COLUMNS, report, options.json)  # fmt: skip


if __name__ == "__main__":
    main()
