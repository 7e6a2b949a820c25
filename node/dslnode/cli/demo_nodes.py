"""The nodes of the demo: a small testbed, forked on Linux, started as processes of ``dslnode start`` elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dslnode.cli.daemon_process import clean_environment, command_line, end_process, start_options
from dslnode.cli.testbed_log import last_words
from dslnode.cli.testbed_plan import PlannedNode, loopback_places, plan_testbed
from dslnode.config.settings import Settings
from dslnode.errors import DslnodeError, ExitCode
from dslnode.simulation.graph import Neighbours
from dslnode.simulation.topology import topology_of

REFRESH_SECONDS = 0.25

Show = Callable[[], None]


@dataclass(frozen=True)
class Plan:
    """The run of a demo: number of nodes, rounds, data set, and how little of it each node holds."""

    count: int
    rounds: int
    data: str
    split: str  # as --split
    samples_per_class: int
    seed: int = 1
    model: str = "mlp"
    linked: bool = True  # False: the same nodes without any peer
    evaluate_every: int = 1


def plan_settings(plan: Plan) -> Settings:
    """Return what all nodes of a plan have in common."""
    return Settings(
        data=plan.data,
        model=plan.model,
        split=plan.split,
        samples_per_class=plan.samples_per_class,
        seed=plan.seed,
        rounds=plan.rounds,
        wait_for_peers=60.0,
        evaluate_every=plan.evaluate_every,
    )


def plan_nodes(directory: Path, plan: Plan) -> list[PlannedNode]:
    """Return the nodes of a plan, with tickets and disjoint shares, on loopback, linked all with all or not at all.

    ``directory`` gets all that they need. Raises ``SettingsError`` or ``ListenError``, saying what to fix.
    """
    alone: Neighbours = ((),) * plan.count
    neighbours = topology_of("complete", plan.count, plan.seed) if plan.linked else alone
    return plan_testbed(directory, plan_settings(plan), neighbours, loopback_places(plan.count))


def run_nodes(nodes: Sequence[PlannedNode], show: Show) -> None:
    """Run all nodes to their end, and call ``show`` four times a second meanwhile. No process is left afterwards.

    Raises ``DslnodeError`` with the last words of nodes that failed; ``SystemExit`` or ``KeyboardInterrupt`` at Ctrl-C.
    """
    run = run_forked if sys.platform == "linux" else run_started
    run(nodes, show)


def run_forked(nodes: Sequence[PlannedNode], show: Show) -> None:
    """Run the nodes as a testbed does: as children that share the memory of what they import."""
    from dslnode.cli.testbed_fork import share_memory
    from dslnode.cli.testbed_supervisor import Supervisor

    said: list[str] = []
    share_memory()
    code = Supervisor(nodes, said.append, report=show, report_seconds=REFRESH_SECONDS).run()
    if code is ExitCode.PROBLEM:
        raise DslnodeError("\n".join(said))
    if code is not ExitCode.DONE:
        sys.exit(code)


def run_started(nodes: Sequence[PlannedNode], show: Show) -> None:
    """Run the nodes as processes that import everything themselves."""
    with ExitStack() as ending:
        running = [ending.enter_context(_started(node)) for node in nodes]
        while any(process.poll() is None for process in running):
            show()
            time.sleep(REFRESH_SECONDS)
        show()
    pairs = zip(nodes, running, strict=True)
    failed = [f"{node.name}: {last_words(node.log)}" for node, process in pairs if process.returncode != ExitCode.DONE]
    if failed:
        raise DslnodeError("\n".join(failed))


@contextmanager
def _started(node: PlannedNode) -> Iterator[subprocess.Popen[bytes]]:
    """Start a node, whose output goes to its log; end it with the block."""
    with node.log.open("ab") as log:
        process = subprocess.Popen(
            command_line("start", *start_options(node.settings)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment(),
        )
    try:
        yield process
    finally:
        end_process(process)
