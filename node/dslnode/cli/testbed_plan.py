"""The directory of a testbed: an authority, a place with a ticket for every node, and what Prometheus scrapes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dslnode.atomic_file import replace_file
from dslnode.cli.daemon_process import free_ports
from dslnode.config.settings import Settings
from dslnode.errors import ListenError, SettingsError
from dslnode.security.authority import DEFAULT_DAYS, Authority, utc_now
from dslnode.security.secret_files import write_private
from dslnode.security.ticket import ticket_text
from dslnode.simulation.boards import node_name
from dslnode.simulation.graph import Neighbours

RUN_ID = "testbed"
WAIT_SECONDS = 120.0
"""How long nodes wait for their neighbours at the beginning, unless the user says otherwise: they start in turn."""
LOOPBACK = "127.0.0.1"
PROMETHEUS_FILE = """\
# Scrapes the nodes of this testbed: prometheus --config.file prometheus.yml
# For alerts and dashboards, see deploy/README.md in the repository of dslnode.
global:
  scrape_interval: 5s

scrape_configs:
  - job_name: dslnode
    file_sd_configs:
      - files: [targets.json]
"""


@dataclass(frozen=True)
class PlannedNode:
    """One daemon of a testbed: its settings, and the directory with its ticket, state, log and process id."""

    settings: Settings
    directory: Path
    namespace: str = ""

    @property
    def name(self) -> str:
        """Its name, as its ticket has it."""
        return self.settings.name

    @property
    def log(self) -> Path:
        """The file of its log; a restart goes on in the same one."""
        return self.directory / "log"

    @property
    def pid_file(self) -> Path:
        """The file with the id of its process, while it runs."""
        return self.directory / "pid"


@dataclass(frozen=True)
class Place:
    """Where a node listens: ``host`` is an address of this machine, or of the network ``namespace``, if it has one."""

    host: str
    port: int
    metrics_port: int
    namespace: str = ""

    @property
    def address(self) -> str:
        """Where neighbours reach the node, as HOST:PORT."""
        return f"{self.host}:{self.port}"

    @property
    def metrics(self) -> str:
        """Where Prometheus reaches the node, as HOST:PORT."""
        return f"{self.host}:{self.metrics_port}"


def loopback_places(count: int) -> list[Place]:
    """Return as many places on loopback with free ports. Raises ``ListenError`` if there are too few."""
    try:
        ports = free_ports(2 * count)
    except OSError as error:
        raise ListenError(f"{2 * count} ports are needed: {error}; end other programs, or start fewer nodes") from error
    return [Place(LOOPBACK, port, metrics) for port, metrics in zip(ports[:count], ports[count:], strict=True)]


def plan_testbed(
    directory: Path, settings: Settings, neighbours: Neighbours, places: Sequence[Place]
) -> list[PlannedNode]:
    """Return the nodes of a testbed, with everything in its directory that they need.

    ``settings`` are those of all nodes. Authority, tickets and states that are there already are taken: the nodes go
    on where they were. Raises ``SettingsError`` if the directory cannot be used, or a setting does not fit.
    """
    nodes = [
        PlannedNode(
            _node_settings(directory, settings, neighbours, places, number), directory / node_name(number), space
        )
        for number, space in enumerate(place.namespace for place in places)
    ]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_tickets(directory, nodes)
        _write_targets(directory / "prometheus", places)
    except OSError as error:
        raise SettingsError(f"--dir {directory}: cannot be used ({error.strerror}); name another one") from error
    return nodes


def _node_settings(
    directory: Path, settings: Settings, neighbours: Neighbours, places: Sequence[Place], number: int
) -> Settings:
    place, home = places[number], directory / node_name(number)
    given = settings.model_dump(exclude_unset=True)
    own: dict[str, Any] = {
        "name": node_name(number),
        "run_id": RUN_ID,
        "ticket": home / "ticket",
        "state_dir": home / "state",
        "listen": place.address,
        "advertise": place.address,
        "metrics": place.metrics,
        "peers": tuple(places[peer].address for peer in neighbours[number]),
        "max_neighbours": 0,
        "share": f"{number + 1}/{len(places)}",
        "log_format": "json",
    }
    return Settings(**{"wait_for_peers": WAIT_SECONDS, **given, **own})


def _write_tickets(directory: Path, nodes: Sequence[PlannedNode]) -> None:
    """Give every node a ticket that has none yet; of the authority of the testbed, made if there is none."""
    place, now = directory / "authority", utc_now()
    authority = Authority(place) if place.exists() else Authority.create(place, RUN_ID, now)
    for node in nodes:
        node.directory.mkdir(mode=0o700, exist_ok=True)
        file = node.directory / "ticket"
        if not file.exists():
            is_known = node.name in authority.records.nodes
            make = authority.renew if is_known else authority.issue
            write_private(file, ticket_text(make(node.name, now, DEFAULT_DAYS)), replace=False)


def _write_targets(directory: Path, places: Sequence[Place]) -> None:
    """Write what Prometheus reads: a configuration, and the nodes by file discovery, which it follows by itself."""
    directory.mkdir(mode=0o755, exist_ok=True)
    targets = [{"targets": [place.metrics for place in places]}]
    replace_file(directory / "targets.json", (json.dumps(targets, indent=2) + "\n").encode(), mode=0o644)
    replace_file(directory / "prometheus.yml", PROMETHEUS_FILE.encode(), mode=0o644)
