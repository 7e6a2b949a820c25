"""What is simulated, as a value: how many nodes, their graph, boards, lines, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dslnode.errors import SettingsError
from dslnode.simulation.boards import Board
from dslnode.simulation.graph import Neighbours, check_count, check_degrees
from dslnode.simulation.hostile import Hostility, hostile_nodes
from dslnode.simulation.link_model import LinkModel

EXAMPLES_PER_PART = 50
"""Training examples that a part of the data has at least, if nobody says how many parts there are."""


@dataclass(frozen=True, kw_only=True)
class SimulationPlan:
    """A network to be simulated. ``parts`` is how many parts the data are cut into; the nodes take them in turn.

    ``until_score`` ends the simulation once the mean score is as high, None after all rounds.
    """

    neighbours: Neighbours
    boards: tuple[Board, ...]
    parts: int
    line: LinkModel
    churn: float = 0.0
    until_score: float | None = None

    def __post_init__(self) -> None:
        """Refuse a network that no daemons could form."""
        check_count(len(self.neighbours))
        check_degrees(self.neighbours)
        if not self.honest:
            raise SettingsError(
                "--hostile: leaves no honest node, so there is nothing to measure; give a smaller part, or take "
                "--method masks_alone to see what nodes reach alone"
            )

    @cached_property
    def honest(self) -> frozenset[int]:
        """The numbers of the nodes that do not lie."""
        return frozenset(number for number, board in enumerate(self.boards) if not board.hostile)


def plan_boards(
    step_seconds: tuple[float, ...],
    *,
    keep_ratios: tuple[float, ...],
    parts: int,
    hostility: Hostility | None,
    seed: int,
) -> tuple[Board, ...]:
    """Return a board for each node's ``step_seconds``: keep ratios and parts of the data are dealt in turn."""
    hostile = set() if hostility is None else set(hostile_nodes(len(step_seconds), hostility.share, seed))
    return tuple(
        Board(
            step_seconds=seconds,
            keep_ratio=keep_ratios[i % len(keep_ratios)],
            part=1 + i % parts,
            hostile=hostility.kind if hostility is not None and i in hostile else "",
        )
        for i, seconds in enumerate(step_seconds)
    )


def part_count(nodes: int, examples: int) -> int:
    """Return into how many parts so many training examples are cut: one per node, while there are enough."""
    return max(1, min(nodes, examples // EXAMPLES_PER_PART))
