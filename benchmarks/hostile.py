"""What do lying neighbours cost the honest ones? Twenty virtual nodes, some of them hostile, with and without defence.

Hostile nodes keep to the protocol, so nothing of theirs is refused: they say something else than what they learned.
Loss is in points of test accuracy, over the honest nodes, against the same nodes in the same network without any
lie; ``silent`` ones say nothing at all, which is what the loss of their honest help alone costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from benchmarks.accuracy.cases import CASES, Case, World, build_world, missing_data
from benchmarks.accuracy.masks import Lockstep, node_settings
from benchmarks.accuracy.network import build_network
from benchmarks.report import Column, Report, Row, arguments, publish
from dslnode.assembly import origin, training_plan
from dslnode.learner import Learner
from dslnode.mask import Exchange, Turn
from dslnode.masking import from_mask

FULL = CASES["4-classes-15-each"]
QUICK = Case("digits", "classes:4", 120, data="digits")
ROUNDS, QUICK_ROUNDS = 13, 8
SEEDS = (1,)
SHARES = (0.2, 0.1, 0.3)  # first what the goal is about, should the benchmark be interrupted
PROCESSES = 2
RULES = ("off", "clipped")
LOUD = 10.0
"""How much further than an honest node a loud one pulls."""


class Liar(Learner):
    """A neighbour that keeps to the protocol and lies: it says other scores than its own, or another density."""

    lie: Lie
    remembered: Tensor | None = None

    def signs(self, round_number: int, neighbours: Iterable[str]) -> dict[str, Turn]:
        """Return sign masks that lie."""
        return self._consensus.steps(round_number, self.lie(self, round_number), neighbours)

    @property
    def learned(self) -> Tensor:
        """What this node has learned beyond the scores that all start from."""
        return self._state.scores - self._consensus._first

    def say(self, learned: Tensor) -> Tensor:
        """Return the scores of a node that has learned this."""
        return self._consensus._first + learned

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
        learner = kind(world.model(), data.train, training_plan(own), origin(own))
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
    for seed, share, kind, rule in product(seeds, SHARES, kinds, RULES):
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


def main() -> None:
    """Run the benchmark."""
    options = arguments(__doc__ or "")
    complaint = missing_data(FULL)
    if complaint and not options.quick:
        raise SystemExit(complaint)
    case, rounds = (QUICK, QUICK_ROUNDS) if options.quick else (FULL, ROUNDS)
    jobs = list(jobs_of(case, SEEDS, rounds, (SILENT, *LIES)))
    found: dict[Job, list[float]] = {}
    with ProcessPoolExecutor(PROCESSES) as pool:
        for job, result in zip(jobs, pool.map(accuracies, jobs), strict=True):
            found[job] = result
            liars = hostile_nodes(job)
            honest = mean(value for i, value in enumerate(result) if i not in liars)
            print(f"{len(found)}/{len(jobs)}: {job.share:.0%} {job.kind}, {job.rule}: {honest:.1f} %", flush=True)
    report = Report(rows_of(found), {"rounds": rounds, "seeds": ", ".join(map(str, SEEDS)), "case": case.name})
    publish("accuracy of the honest nodes' personal models on the test images of their own classes, percent",
            COLUMNS, report, options.json)  # fmt: skip


if __name__ == "__main__":
    main()
