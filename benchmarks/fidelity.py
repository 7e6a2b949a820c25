"""Does the simulation tell the truth? The same small network as real daemons, and simulated.

Goals: bits within 5 %, score within 1 point, rounds per minute within 20 %. The real nodes have tickets and state
directories. ``--quick`` has four of them on loopback; otherwise there are eight, each in a network namespace, whose
lines carry 256 kbit/s, delay by 50 ms and lose 2 % of all frames (``tests/chaos``; needs root).

The simulation is told what a step takes here: learners of all nodes train at the same time, before and after the real
run, since the nodes share the processors. ``wire_bytes`` has no goal: they are shown to be looked at.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.daemons import Daemon
from benchmarks.processes import processes
from benchmarks.report import Column, Report, Row, arguments, publish
from dslnode.cli.daemon_process import Event, start_options
from dslnode.cli.testbed_plan import Place, PlannedNode, loopback_places, plan_testbed
from dslnode.config.settings import Settings
from dslnode.runtime.build import build_learner
from dslnode.simulation.boards import node_name
from dslnode.simulation.simulation import Simulation, SimulationOptions, prepare_simulation
from dslnode.simulation.topology import topology_of

SCORED_ROUNDS = 10
"""The last rounds, whose scores are averaged."""
WARM_UP_SECONDS, MEASURED_SECONDS = 8.0, 5.0
LIFE_SECONDS = 900.0
PORT, METRICS_PORT = 7711, 9464
RATE = 256_000
"""Bits per second of a line in the full case."""
GOALS = {"payload_bits": 0.05, "score": 1.0, "rounds_per_minute": 0.2}
"""Differences that are allowed: of the real figure, and of the score in points."""
COLUMNS = (
    Column("case", "case"),
    Column("figure", "figure"),
    Column("real", "real", ",.1f"),
    Column("simulated", "simulated", ",.1f"),
    Column("difference", "difference", "+.3f"),
    Column("goal", "goal", "g"),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network: ``link`` as ``dslnode simulate`` takes it, empty for loopback."""

    name: str
    nodes: int
    topology: str
    link: str = ""
    rounds: int

    @property
    def settings(self) -> Settings:
        """The settings of all its nodes. So many steps make training, not the exchange, what a round takes."""
        return Settings(
            data="digits", model="mlp", split="classes:6", rounds=self.rounds, local_steps=150, evaluate_every=1
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run: means over nodes of bits and bytes sent per round, rounds per minute, and the score in percent."""

    payload_bits: float
    wire_bytes: float
    score: float
    rounds_per_minute: float


@dataclass(frozen=True, kw_only=True)
class FinishedRound:
    """A round of one node: when it ended (seconds of any clock), its score, and all that was sent so far."""

    seconds: float
    score: float
    payload_bits: int
    wire_bytes: int


QUICK = Case(name="4 nodes, loopback", nodes=4, topology="complete", rounds=30)
FULL = Case(name="8 nodes, 256 kbit/s, 50 ms, 2 % lost", nodes=8, topology="ring", link="256kbit/s,50ms,2%", rounds=60)


def main() -> None:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    case = QUICK if chosen.quick else FULL
    if case.link and (reason := why_not_full()) is not None:
        publish("Simulation against real daemons", COLUMNS, Report(summary={"skipped": reason}), chosen.json)
        return
    before = step_seconds(case)
    real = run_real(case)
    after = step_seconds(case)
    simulated = simulate(case, statistics.fmean((before, after)))
    rows = compare(case, real, simulated)
    summary = {
        "step_seconds_before": before,
        "step_seconds_after": after,
        "goals_met": all(abs(row["difference"]) <= row["goal"] for row in rows if row["goal"] is not None),
    }
    publish("Simulation against real daemons", COLUMNS, Report(rows, summary), chosen.json)


def why_not_full() -> str | None:
    """Return what this machine lacks for bad links between namespaces, or None."""
    from tests.chaos.namespaces import missing

    return missing()


def compare(case: Case, real: Outcome, simulated: Outcome) -> list[Row]:
    """Return a row per figure; the difference of scores is in points, others are parts of the real figure."""
    rows = []
    for figure in ("payload_bits", "wire_bytes", "score", "rounds_per_minute"):
        theirs, ours = getattr(real, figure), getattr(simulated, figure)
        difference = ours - theirs if figure == "score" else ours / theirs - 1
        rows.append(
            {
                "case": case.name,
                "figure": figure,
                "real": theirs,
                "simulated": ours,
                "difference": difference,
                "goal": GOALS.get(figure),
            }
        )
    return rows


def outcome_of(nodes: Sequence[Sequence[FinishedRound]]) -> Outcome:
    """Return what the finished rounds of all nodes come to; the first round only begins the clock."""

    def mean_per_round(figure: str) -> float:
        return statistics.fmean(getattr(rounds[-1], figure) / len(rounds) for rounds in nodes)

    return Outcome(
        payload_bits=mean_per_round("payload_bits"),
        wire_bytes=mean_per_round("wire_bytes"),
        score=100 * statistics.fmean(each.score for rounds in nodes for each in rounds[-SCORED_ROUNDS:]),
        rounds_per_minute=statistics.fmean(
            60 * (len(rounds) - 1) / (rounds[-1].seconds - rounds[0].seconds) for rounds in nodes
        ),
    )


def run_real(case: Case) -> Outcome:
    """Run the case's daemons to their end."""
    neighbours = topology_of(case.topology, case.nodes, case.settings.seed)
    with TemporaryDirectory() as directory, places_of(case) as places, ExitStack() as running:
        plan = plan_testbed(Path(directory), case.settings, neighbours, places)
        daemons = [running.enter_context(_daemon(node)) for node in plan]
        for daemon in daemons:
            daemon.wait_for("stopped", seconds=LIFE_SECONDS)
        return outcome_of([[_logged(line) for line in daemon.events("round")] for daemon in daemons])


@contextmanager
def places_of(case: Case) -> Iterator[list[Place]]:
    """Give the case's nodes places: on loopback, or in namespaces that a bad network joins."""
    if not case.link:
        yield loopback_places(case.nodes)
        return
    from tests.chaos.boards import address_of
    from tests.chaos.namespaces import made
    from tests.chaos.switch import switched
    from tests.chaos.wire import Conditions

    with made(case.nodes) as spaces:
        hosts = [(space, address_of(number)) for number, space in enumerate(spaces)]
        with switched(case.settings.seed, [(space, f"{address}/24") for space, address in hosts]) as steering:
            steering.set(Conditions(delay=0.05, loss=0.02, rates=dict.fromkeys(range(case.nodes), float(RATE))))
            yield [Place(address, PORT, METRICS_PORT, space) for space, address in hosts]


def simulate(case: Case, step: float) -> Outcome:
    """Simulate the case on boards that take so many seconds for a step."""
    torch.set_num_threads(1)
    options = SimulationOptions(
        nodes=case.nodes, topology=case.topology, link=case.link, step_time=step, parts=case.nodes
    )
    simulation = Simulation(prepare_simulation(options, case.settings))
    for stage in (simulation.build(), simulation.run()):
        for _ in stage:
            pass
    nodes: list[list[FinishedRound]] = [[] for _ in range(case.nodes)]
    for record in simulation.records:
        assert record.score is not None, "every round is judged"
        nodes[record.node].append(
            FinishedRound(
                seconds=record.seconds,
                score=record.score,
                payload_bits=record.payload_bits,
                wire_bytes=record.wire_bytes,
            )
        )
    return outcome_of(nodes)


def step_seconds(case: Case) -> float:
    """Return what a local step takes while the learners of all nodes train at the same time, each in a process."""
    begin = time.time() + WARM_UP_SECONDS
    settings = [
        case.settings.model_copy(update={"name": node_name(number), "share": f"{number + 1}/{case.nodes}"})
        for number in range(case.nodes)
    ]
    with processes(case.nodes) as pool:
        return statistics.fmean(pool.map(train, settings, [begin] * case.nodes))


def train(settings: Settings, begin: float) -> float:
    """Return the seconds per step of a node's learner, measured from the moment ``begin`` on (seconds since 1970)."""
    torch.set_num_threads(1)
    learner = build_learner(settings)
    number = 0
    while time.time() < begin:
        learner.train_round(number)
        number += 1
    began, first = time.perf_counter(), number
    while time.perf_counter() - began < MEASURED_SECONDS:
        learner.train_round(number)
        number += 1
    return (time.perf_counter() - began) / (number - first) / settings.local_steps


def _daemon(node: PlannedNode) -> Daemon:
    return Daemon(
        *start_options(node.settings), prefix=("ip", "netns", "exec", node.namespace) if node.namespace else ()
    )


def _logged(line: Event) -> FinishedRound:
    return FinishedRound(
        seconds=datetime.fromisoformat(line["timestamp"]).timestamp(),
        score=line["score"],
        payload_bits=line["bits_sent"],
        wire_bytes=line["bytes_sent"],
    )


if __name__ == "__main__":
    main()
