"""One run of a testbed from its options to its end: ``dslnode testbed``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from dslnode.cli.testbed_fork import share_memory
from dslnode.cli.testbed_page import keep_page
from dslnode.cli.testbed_plan import loopback_places, plan_testbed
from dslnode.cli.testbed_supervisor import Job, Supervisor
from dslnode.config.settings import Settings
from dslnode.errors import ExitCode, SettingsError
from dslnode.simulation.topology import edges_of, topology_of


def run_testbed(settings: Settings, directory: Path, *, nodes: int, topology: str, restart: bool) -> ExitCode:
    """Run the nodes until they have ended or a signal says so; return why it was.

    ``settings`` are those of all nodes. Raises ``SettingsError`` or ``ListenError``, saying what to fix.
    """
    if sys.platform != "linux":
        raise SettingsError("dslnode testbed needs Linux, whose processes end with the one that started them")
    neighbours = topology_of(topology, nodes, settings.seed)
    plan = plan_testbed(directory.absolute(), settings, neighbours, loopback_places(nodes))
    _say(f"{nodes} nodes and {len(edges_of(neighbours))} links in {directory}; loading")
    share_memory()
    first, page = plan[0], directory.absolute() / "page.html"
    _say(f"the page of all nodes: {page}")
    _say(f"in a terminal: dslnode top --address {first.settings.listen} --ticket {first.directory / 'ticket'}")
    return Supervisor(
        plan, Job("page", partial(keep_page, page, plan), page.with_name("page.log")), _say, restart
    ).run()


def _say(line: str) -> None:
    print(line, flush=True)
