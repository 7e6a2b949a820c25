"""Simulates another method on the same boards, lines and data as ours: rounds in which neighbours wait for each other.

A node trains, sends its message to one neighbour after the other, and begins its next round when its neighbours'
messages are here. What it learns does not depend on time; only the seconds follow from boards and lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from torch import Tensor

from dslnode.data.target import Task
from dslnode.errors import SettingsError
from dslnode.learning.masking import layout_of
from dslnode.learning.model_building import build_model
from dslnode.learning.tasks.chosen import learning_task
from dslnode.simulation.build import PreparedSimulation
from dslnode.simulation.latest_scores import LatestScores
from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.recipes import METHODS
from dslnode.simulation.records import Incidents, Reference, RoundRecord
from dslnode.simulation.round_clock import RoundClock
from dslnode.simulation.simulation import MASK_METHODS, Simulation

REFERENCE = "--reference"


@dataclass
class MethodSimulation:
    """A simulation of one of ``METHODS``; it is built and run as ``simulation.Simulation`` is.

    ``option`` is the one that asks for it; ``reference`` is for the report alone.
    Raises ``SettingsError`` if the method is unknown, or the simulation has what only ours is simulated with.
    """

    prepared: PreparedSimulation
    method: str
    rate: float | None = None
    records: list[RoundRecord] = field(default_factory=list)
    weights: int = 0
    reached: RoundRecord | None = None
    incidents: Incidents = field(default_factory=Incidents)
    option: str = "--method"
    reference: Reference | None = None

    def __post_init__(self) -> None:
        """Refuse what has no meaning for the method."""
        asked = f"{self.option} {self.method}"
        if self.method not in METHODS:
            known = METHODS if self.option == REFERENCE else (*MASK_METHODS, *METHODS)
            raise SettingsError(f"{asked}: is unknown; known are {', '.join(known)}")
        plan, task = self.prepared.plan, self.prepared.parts[0].target.task
        if plan.churn or len(plan.honest) < len(plan.boards) or self.prepared.settings.data_cap:
            raise SettingsError(f"{asked}: --churn, --hostile and --data-cap are for ours only; leave them out")
        if task != Task.CLASSIFICATION or self.prepared.settings.frozen:
            raise SettingsError(
                f"{asked}: learns classes, from a start of its own; this is {task}"
                + (" with --frozen" if self.prepared.settings.frozen else "")
            )

    def build(self) -> Iterator[int]:
        """Build the method's nodes; yield how many there are."""
        settings = self.prepared.settings
        parts = [self.prepared.parts[board.part - 1] for board in self.prepared.plan.boards]
        layout = layout_of(build_model(settings.model, parts[0], settings.seed))
        self.weights = layout.size
        cohort = Cohort(
            tuple(parts),
            self.prepared.plan.neighbours,
            lambda: build_model(settings.model, parts[0], settings.seed),
            layout,
            settings.seed,
            settings.batch_size,
            settings.uneven_classes,
        )
        self._parts = parts
        self._tasks = [learning_task(data, settings.uneven_classes) for data in parts]
        recipe = METHODS[self.method]
        rate = {} if self.rate is None else {"rate": self.rate}
        options = {**recipe.options, **rate, "local_steps": settings.local_steps}
        self._trained = recipe.build(cohort, options, settings.rounds)
        yield len(parts)

    def run(self) -> Iterator[int]:
        """Run until all rounds are done or the score is reached; yield how many rounds of nodes are finished."""
        plan, settings = self.prepared.plan, self.prepared.settings
        clock = RoundClock(plan, local_steps=settings.local_steps, seed=settings.seed)
        scores = LatestScores(self.prepared)
        for number in range(settings.rounds):
            self._trained.round(number)
            last = number + 1 == settings.rounds
            measured = last or (number + 1) % settings.evaluate_every == 0
            found = self._scores(last=last) if measured else [None] * len(plan.boards)
            clock.advance({node: message.payload for node, message in self._trained.traffic.messages.items()})
            for node, score in enumerate(found):
                record = self._record(clock, node, number + 1, score)
                self.records.append(record)
                scores.add(record)
            yield len(self.records)
            if scores.reached_by:
                self.reached = scores.reached_by
                return

    def close(self) -> None:
        """Do nothing: there is nothing to end."""

    def _scores(self, *, last: bool) -> list[float | None]:
        """Return every node's score, None where nothing is held out; of several ways to measure, the best mean."""
        ways = [self._scores_of(weights) for weights in self._trained.personal(last=last).values()]
        return max(ways, key=lambda found: fmean([score for score in found if score is not None] or [0.0]))

    def _scores_of(self, weights: Sequence[Tensor]) -> list[float | None]:
        found: list[float | None] = []
        for node, (data, task, own) in enumerate(zip(self._parts, self._tasks, weights, strict=True)):
            held_out = data.held_out
            if held_out is None:
                found.append(None)
                continue
            predictions = self._trained.network.predictions(own, node, held_out)
            found.append(task.score(predictions, held_out.labels))
        return found

    def _record(self, clock: RoundClock, node: int, finished: int, score: float | None) -> RoundRecord:
        density = self._trained.traffic.density
        return RoundRecord(
            node=node,
            round=finished,
            seconds=clock.seconds[node],
            round_seconds=clock.round_seconds[node],
            score=score,
            loss=float("nan"),
            neighbours=len(self.prepared.plan.neighbours[node]),
            staleness=0.0,
            density=1.0 if density is None else density,
            payload_bits=round(clock.payload_bits[node]),
            wire_bytes=clock.wire_bytes[node],
        )


def reference_simulation(prepared: PreparedSimulation, method: str, *, beside: str) -> MethodSimulation:
    """Return a simulation of a method on the same plan as another one, ``beside``, for comparison.

    Raises ``SettingsError`` if the method is unknown or the same, or has no meaning for the plan.
    """
    if method == beside:
        raise SettingsError(f"{REFERENCE} {method}: is the --method itself; give another one, or leave it out")
    return MethodSimulation(prepared, method, option=REFERENCE)


AnySimulation = Simulation | MethodSimulation
