"""One run of a testbed from its options to its end: ``dslnode testbed``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dslnode.cli.endings import ENDINGS
from dslnode.cli.testbed_command import MAX_NODES, MIN_NODES
from dslnode.cli.testbed_fork import share_memory
from dslnode.cli.testbed_hosts import host_places
from dslnode.cli.testbed_lock import held
from dslnode.cli.testbed_page import keep_page
from dslnode.cli.testbed_plan import Place, loopback_places, plan_testbed
from dslnode.cli.testbed_supervisor import Job, Supervisor
from dslnode.config.settings import Settings
from dslnode.errors import ExitCode, SettingsError
from dslnode.simulation.graph import Neighbours, edges_of, unlinked_count
from dslnode.simulation.topology import topology_of

USUAL_NODES = 8


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a testbed is to be: the settings of all its nodes, their number and graph, and how they live.

    Without a number there are as many nodes as the file of ``topology`` has, else ``USUAL_NODES``.
    """

    settings: Settings
    directory: Path
    nodes: int | None
    topology: str
    restart: bool
    namespaces: bool


def run_testbed(request: Request) -> ExitCode:
    """Run the nodes until they have ended or a signal says so; return why it was.

    Raises ``SettingsError``, ``StateError`` or ``ListenError``, saying what to fix.
    """
    if sys.platform != "linux":
        raise SettingsError("dslnode testbed needs Linux, whose processes end with the one that started them")
    for number, code in ENDINGS.items():
        signal.signal(number, lambda *_, code=code: sys.exit(code))  # until the supervisor listens: hosts are removed
    neighbours = graph_of(request)
    count, alone = len(neighbours), unlinked_count(neighbours)
    _say(f"{count} nodes and {len(edges_of(neighbours))} links in {request.directory}; loading")
    if alone:
        _say(f"{alone} of {count} nodes have no link")
    with held(request.directory), _places(request, count) as places:
        return _supervise(request, neighbours, places)


def graph_of(request: Request) -> Neighbours:
    """Return who is linked. Raises ``SettingsError`` if that cannot be a testbed."""
    neighbours = topology_of(request.topology, request.nodes, request.settings.seed, usual=USUAL_NODES)
    if not MIN_NODES <= len(neighbours) <= MAX_NODES:
        raise SettingsError(
            f"--topology {request.topology}: has {len(neighbours)} nodes; a testbed has {MIN_NODES} to {MAX_NODES}"
        )
    return neighbours


def _places(request: Request, count: int) -> AbstractContextManager[Sequence[Place]]:
    return host_places(count) if request.namespaces else nullcontext(loopback_places(count))


def _supervise(request: Request, neighbours: Neighbours, places: Sequence[Place]) -> ExitCode:
    plan = plan_testbed(request.directory, request.settings, neighbours, places)
    share_memory()
    first, page = plan[0], request.directory / "page.html"
    _say(f"the page of all nodes: {page}")
    _say(f"in a terminal: dslnode top --address {first.settings.listen} --ticket {first.directory / 'ticket'}")
    job = Job("page", partial(keep_page, page, plan, neighbours), page.with_name("page.log"))
    return Supervisor(plan, _say, job, request.restart).run()


def _say(line: str) -> None:
    print(line, flush=True)
