"""What do lying neighbours cost the honest ones? Virtual nodes, some of them hostile, with and without defence.

Hostile nodes keep to the protocol, so nothing of theirs is refused: they say something else than what they learned.
Loss is in points of test accuracy, over the honest nodes, against the same nodes in the same network without any
lie; ``silent`` ones say nothing at all, which is what the loss of their honest help alone costs.

With ``--runs FILE`` every run is added there when it is done, and those that stand there are not done again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.accuracy.cases import Case, World, build_world, missing_data
from benchmarks.accuracy.masks import Lockstep, node_settings
from benchmarks.accuracy.network import build_network
from benchmarks.processes import processes
from benchmarks.report import Column, Report, Row, argument_parser, publish
from dslnode.learning.learner import Learner
from dslnode.learning.masking import from_mask
from dslnode.protocol.messages import Exchange, RoundMessage
from dslnode.runtime.build import initialization_options, training_options

FULL = Case("Fashion-MNIST, everybody linked with everybody", "classes:4", 4 * 15, nodes=10, graph="complete")
QUICK = Case("digits, random graph", "classes:4", 8 * 15, data="digits")
ROUNDS = 8
SEEDS = (1, 2, 3)
SHARES = (0.2, 0.1, 0.3)  # first what the goal is about, should the benchmark be interrupted
RULES = ("off", "clipped")
LOUD = 10.0
"""How much further than an honest node a loud one pulls."""


class Liar(Learner):
    """A neighbour that keeps to the protocol and lies: it says other scores than its own, or another density."""

    lie: Lie
    remembered: Tensor | None = None

    def make_steps(self, round_number: int, neighbours: Iterable[str]) -> dict[str, RoundMessage]:
        """Return sign masks that lie."""
        return self._consensus.make_steps(round_number, self.lie(self, round_number), neighbours)

    @property
    def learned(self) -> Tensor:
        """What this node has learned beyond the scores that all start from."""
        return self._state.scores - self._consensus._seeded_scores

    def say(self, learned: Tensor) -> Tensor:
        """Return the scores of a node that has learned this."""
        return self._consensus._seeded_scores + learned

    def claim(self, part: float) -> None:
        """Claim to keep this part of every layer."""
        counts = tuple(max(1, round(part * layer.size)) for layer in self.layout.layers)
        self._consensus._network = replace(self.network, counts=counts)


Lie = Callable[[Liar, int], Tensor]


def _random(node: Liar, number: int) -> Tensor:
    """Say something else every round, as far from the start as a node that learned."""
    noise = torch.randn(node.learned.shape, generator=torch.Generator().manual_seed(number))
    return node.say(noise * node.learned.square().mean().sqrt())


def _constant(node: Liar, number: int) -> Tensor:
    """Say that every score rises, round after round: sign masks of ones only."""
    return node.say(torch.full_like(node.learned, float(node.learned.abs().mean()) * (number + 1)))


def _inverted(node: Liar, _: int) -> Tensor:
    """Say the contrary of what was learned."""
    return node.say(-node.learned)


def _loud(node: Liar, _: int) -> Tensor:
    """Say the contrary, ten times as strongly."""
    return node.say(-LOUD * node.learned)


def _replayed(node: Liar, number: int) -> Tensor:
    """Say for ever what it knew after the first round."""
    if node.remembered is None or number == 0:
        node.remembered = node.say(node.learned)
    return node.remembered


def _dense(node: Liar, _: int) -> Tensor:
    """Say the contrary, and claim to keep nine tenths of the weights, not three."""
    node.claim(0.9)
    return node.say(-node.learned)


LIES: dict[str, Lie] = {
    "random": _random,
    "constant": _constant,
    "inverted": _inverted,
    "loud": _loud,
    "replayed": _replayed,
    "other density": _dense,
}
SILENT = "silent"


@dataclass(frozen=True)
class Job:
    """One run: how many of the nodes are hostile, and how."""

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
    hostile = set(hostile_nodes(job))
    lockstep = Lockstep(learners := _learners(world, job, hostile), _links(world, job, hostile), Exchange.SIGN)
    for number in range(job.rounds):
        lockstep.round(number)
    lockstep.round(job.rounds - 1)
    network = build_network(world, own_classes=True)
    weights = [learner.network.weights * from_mask(learner.mask) for learner in learners]
    return [100 * network.accuracy(own, i, world.nodes[i].test) for i, own in enumerate(weights)]


def hostile_nodes(job: Job) -> list[int]:
    """Return who lies: of one order of all nodes the first ones, so that more hostile ones include the fewer."""
    order = np.random.Generator(np.random.PCG64(job.seed)).permutation(job.case.nodes)
    return [int(node) for node in order[: round(job.share * job.case.nodes)]]


def _learners(world: World, job: Job, hostile: set[int]) -> list[Learner]:
    learners: list[Learner] = []
    for i, data in enumerate(world.nodes):
        own = node_settings(world, i, {"robust_aggregation": job.rule})
        kind = Liar if i in hostile else Learner
        learner = kind(world.model(), data.train, training_options(own), initialization_options(own))
        if isinstance(learner, Liar):
            learner.lie = LIES.get(job.kind, _inverted)
        learners.append(learner)
    return learners


def _links(world: World, job: Job, hostile: set[int]) -> tuple[tuple[int, ...], ...]:
    """Return the graph, without the silent nodes' links."""
    gone = hostile if job.kind == SILENT else set()
    return tuple(
        () if i in gone else tuple(peer for peer in peers if peer not in gone)
        for i, peers in enumerate(world.neighbours)
    )


def jobs_of(case: Case, seeds: tuple[int, ...], rounds: int, kinds: Iterable[str]) -> Iterator[Job]:
    """Yield the runs without hostile nodes, then the others."""
    for seed, rule in product(seeds, RULES):
        yield Job(case, seed, rounds, SILENT, 0.0, rule)
    for share, seed, kind, rule in product(SHARES, seeds, kinds, RULES):
        yield Job(case, seed, rounds, kind, share, rule)


def rows_of(found: dict[Job, list[float]]) -> list[Row]:
    """Return a row for every kind and share of hostile nodes: accuracy and loss of the honest by rule, over seeds."""
    cases = sorted(dict.fromkeys((job.kind, job.share) for job in found), key=lambda case: case[1])
    return [{"kind": kind if share else "none", "hostile": 100 * share, **_figures(found, kind, share)}
            for kind, share in cases]  # fmt: skip


def _figures(found: dict[Job, list[float]], kind: str, share: float) -> Row:
    row: Row = {}
    for rule in RULES:
        jobs = [job for job in found if (job.kind, job.share, job.rule) == (kind, share, rule)]
        honest = [(job, i) for job in jobs for i in range(job.case.nodes) if i not in hostile_nodes(job)]
        before = [found[replace(job, kind=SILENT, share=0.0, rule="off")][i] for job, i in honest]
        after = [found[job][i] for job, i in honest]
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


def stored(file: Path | None) -> dict[Job, list[float]]:
    """Return the runs that a file holds, one a line."""
    if file is None or not file.exists():
        return {}
    lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    return {Job(**{**line["job"], "case": _case(line["job"]["case"])}): line["accuracies"] for line in lines}


def _case(fields: dict[str, Any]) -> Case:
    return Case(**{**fields, "keep_ratios": tuple(fields["keep_ratios"])})


def run(jobs: Sequence[Job], file: Path | None, count: int) -> dict[Job, list[float]]:
    """Do the runs that were not done yet; return the accuracies of all."""
    found = stored(file)
    waiting = [job for job in jobs if job not in found]
    with processes(count) as pool:
        for job, result in zip(waiting, pool.map(accuracies, waiting), strict=True):
            found[job] = result
            if file is not None:
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps({"job": asdict(job), "accuracies": result}) + "\n")
            honest = mean(value for i, value in enumerate(result) if i not in hostile_nodes(job))
            print(f"seed {job.seed}, {job.share:.0%} {job.kind}, {job.rule}: {honest:.1f} %", flush=True)
    return {job: found[job] for job in jobs}


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--runs", type=Path, help="file that keeps every run that is done")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    options = parser.parse_args()
    complaint = missing_data(FULL)
    if complaint and not options.quick:
        raise SystemExit(complaint)
    case = QUICK if options.quick else FULL
    jobs = list(jobs_of(case, tuple(options.seeds), ROUNDS, (*LIES, SILENT)))
    found = run(jobs, options.runs, options.processes)
    seeds = ", ".join(map(str, options.seeds))
    report = Report(rows_of(found), {"rounds": ROUNDS, "seeds": seeds, "case": case.name, "nodes": case.nodes})
    publish("accuracy of the honest nodes' personal models on the test images of their own classes, percent",
            COLUMNS, report, options.json)  # fmt: skip


if __name__ == "__main__":
    main()
