"""What happens to a network, and when: a seeded list of kills and partitions. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Kill:
    """A node is killed."""

    node: int


@dataclass(frozen=True)
class Start:
    """A node that was killed starts again."""

    node: int


@dataclass(frozen=True)
class Part:
    """From now on these nodes and the others cannot reach each other. Without any, the partition ends."""

    apart: frozenset[int]


@dataclass(frozen=True)
class Step:
    """A fault, ``at`` seconds after the start."""

    at: float
    act: Kill | Start | Part


@dataclass(frozen=True)
class Plan:
    """How much happens. The first ``spared`` nodes are never killed: their memory is watched over the whole run."""

    nodes: int
    seconds: float
    kills: int
    partitions: int
    spared: int = 2
    longest_down: float = 3.0


def write_script(plan: Plan, seed: int) -> list[Step]:
    """Return all steps in order; every partition is over at the end."""
    chance = random.Random(seed)
    return sorted([*_kills(plan, chance), *_partitions(plan, chance)], key=lambda step: step.at)


def _kills(plan: Plan, chance: random.Random) -> Iterator[Step]:
    """Yield kills spread over the whole time, and the starts that follow. No node is killed twice in a row."""
    victims: list[int] = []
    last = -1
    for number in range(plan.kills):
        if not victims:
            victims = chance.sample(range(plan.spared, plan.nodes), plan.nodes - plan.spared)
            if victims[-1] == last:
                victims.reverse()
        last = victims.pop()
        at = plan.seconds * (number + chance.random()) / plan.kills
        yield Step(at, Kill(last))
        yield Step(at + chance.uniform(0, plan.longest_down), Start(last))


def _partitions(plan: Plan, chance: random.Random) -> Iterator[Step]:
    """Yield partitions of half the network, each about half as long as its part of the time."""
    span = plan.seconds / max(1, plan.partitions)
    for number in range(plan.partitions):
        begins = number + chance.uniform(0.1, 0.3)
        yield Step(span * begins, Part(frozenset(chance.sample(range(plan.nodes), plan.nodes // 2))))
        yield Step(span * (begins + chance.uniform(0.4, 0.6)), Part(frozenset()))
