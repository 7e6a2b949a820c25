"""One run: a method on one case with one seed, to a given number of local steps, measured by validation and test."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.accuracy.cases import Case, World, build_world, case_over
from benchmarks.accuracy.methods import RECIPES
from dslnode.data.dataset import Examples
from dslnode.simulation.graph import link_count
from dslnode.simulation.methods.method import Method
from dslnode.simulation.methods.recipes import Options

Record = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What to run. ``steps`` are the local steps of every node in all."""

    case: str
    method: str
    model: str
    seed: int
    steps: int
    options: Options
    curve_points: int = 20
    test_per_class: int | None = None  # None: all test images
    data: str | None = None  # as --data of the daemon; None: the case's own

    def identity(self) -> Record:
        """Return what tells this job's result from others."""
        facts = {"case": self.case, "method": self.method, "model": self.model, "seed": self.seed, "steps": self.steps}
        facts |= {} if self.data is None else {"data": self.data}
        return {**facts, "tests": self.test_per_class, "options": RECIPES[self.method].identity(self.options)}


def run(job: Job, *, test: bool = True, case: Case | None = None) -> Record:
    """Run the job and return its record; without ``test`` only the validation images are ever looked at."""
    began = time.perf_counter()
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    world = build_world(case or case_over(job.case, job.data), job.model, job.seed, job.test_per_class)
    recipe = RECIPES[job.method]
    count = max(1, job.steps // recipe.local_steps(job.options))
    method = recipe.build(world, job.options, count)
    curve = _rounds(world, method, count, max(1, count // job.curve_points))
    way, weights, validation = _best_way(world, method)
    curve.append(_point(method, count, validation))
    record = {**job.identity(), "rounds": count, "local_steps": count * method.local_steps, "measured": way}
    record |= {"form": method.form}
    record |= {"validation": 100 * statistics.mean(validation), "curve": curve}
    if test:
        tests = [data.test for data in world.nodes]
        record["nodes"] = [round(100 * value, 3) for value in _accuracies(method, weights, tests)]
    return record | _costs(world, method, count) | {"seconds": round(time.perf_counter() - began, 1)}


def _rounds(world: World, method: Method, count: int, every: int) -> list[Record]:
    """Run all rounds; return the curve but for its end: validation accuracy and cost every few rounds."""
    images = [data.validation for data in world.nodes]
    curve: list[Record] = []
    for number in range(count):
        method.round(number)
        if (number + 1) % every == 0 and number + 1 < count:
            found = [_accuracies(method, weights, images) for weights in method.personal(last=False).values()]
            best = max(found, key=statistics.mean)
            curve.append(_point(method, number + 1, best))
    return curve


def _point(method: Method, rounds: int, accuracies: list[float]) -> Record:
    traffic = method.traffic
    return {
        "rounds": rounds,
        "steps": rounds * method.local_steps,
        "accuracy": 100 * statistics.mean(accuracies),
        "worst_node": 100 * min(accuracies),
        "payload_bits": round(traffic.sent.payload),
        "flips": traffic.flips,
        "density": traffic.density,
    }


def _best_way(world: World, method: Method) -> tuple[str, list[Tensor], list[float]]:
    """Return the way to measure that is best on validation, its models, and their validation accuracies."""
    images = [data.validation for data in world.nodes]
    candidates = method.personal(last=True)
    found = {way: _accuracies(method, weights, images) for way, weights in candidates.items()}
    best = max(found, key=lambda way: statistics.mean(found[way]))
    return best, candidates[best], found[best]


def _accuracies(method: Method, weights: list[Tensor], images: list[Examples]) -> list[float]:
    pairs = zip(weights, images, strict=True)
    return [method.network.accuracy(own, node, examples) for node, (own, examples) in enumerate(pairs)]


def _costs(world: World, method: Method, rounds: int) -> Record:
    """Return the bits of all nodes, links and rounds together, and what that is a weight, link and round."""
    sent = method.traffic.sent
    messages = rounds * link_count(world.neighbours)
    return {
        "payload_bits": round(sent.payload),
        "raw_bits": round(sent.raw),
        "nominal_bits": round(sent.nominal),
        "payload_bits_a_weight": sent.payload / (messages * world.layout.size),
        "links": link_count(world.neighbours),
        "weights": world.layout.size,
        "flips": method.traffic.flips,
        "density": method.traffic.density,
    }
