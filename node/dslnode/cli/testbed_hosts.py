"""Hosts for a testbed: a network namespace for each node, all on one bridge of this machine. Needs Linux and root.

The addresses are of 198.18.0.0/16, which is set aside for such tests (RFC 2544) and routed nowhere. The bridge has the
first one, so that Prometheus and ``dslnode top`` on this machine reach all nodes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

from dslnode.cli.testbed_plan import Place
from dslnode.errors import SettingsError

NETWORK = IPv4Network("198.18.0.0/16")
BRIDGE = "dslnode-bed"
INTERFACE = "eth0"
PORT, METRICS_PORT = 7711, 9464
NAMESPACES = Path("/run/netns")


@contextmanager
def host_places(count: int) -> Iterator[list[Place]]:
    """Make a host for each of ``count`` nodes, and remove all of them in the end.

    Those of a testbed that was itself killed are removed first. Raises ``SettingsError`` if hosts cannot be made here,
    or another testbed has some.
    """
    _check()
    names = [f"{BRIDGE}-{os.getpid()}-{number + 1}" for number in range(count)]
    places = [Place(str(NETWORK[number + 2]), PORT, METRICS_PORT, namespace) for number, namespace in enumerate(names)]
    try:
        _make(places)
        yield places
    finally:
        _remove(names)


def _check() -> None:
    """Raise ``SettingsError`` unless hosts can be made; remove those whose maker has ended."""
    if os.geteuid() != 0:
        raise SettingsError("--namespaces: only root can make network namespaces; use sudo, or leave it out")
    if shutil.which("ip") is None:
        raise SettingsError("--namespaces: needs the command ip; install the package iproute2")
    left = list(NAMESPACES.glob(f"{BRIDGE}-*-*"))
    for maker in {path.name.split("-")[-2] for path in left}:
        if Path("/proc", maker).exists():
            raise SettingsError(f"--namespaces: process {maker} has a testbed with namespaces; end that one first")
    _remove(path.name for path in left)


def _make(places: list[Place]) -> None:
    lines = [
        f"link add {BRIDGE} type bridge",
        f"address add {NETWORK[1]}/{NETWORK.prefixlen} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]
    for number, place in enumerate(places, start=1):
        port = f"{BRIDGE}{number}"
        lines += [
            f"netns add {place.namespace}",
            f"link add {port} type veth peer name {INTERFACE} netns {place.namespace}",
            f"link set {port} master {BRIDGE} up",
        ]
    _ip(lines)
    for place in places:
        inside = [
            f"address add {place.host}/{NETWORK.prefixlen} dev {INTERFACE}",
            f"link set {INTERFACE} up",
            "link set lo up",
        ]
        _ip(inside, "-netns", place.namespace)


def _remove(names: Iterable[str]) -> None:
    """Remove what there is of namespaces and bridge; the cables of a namespace go with it."""
    lines = [f"netns delete {name}" for name in names if (NAMESPACES / name).exists()]
    if Path("/sys/class/net", BRIDGE).exists():
        lines.append(f"link delete {BRIDGE}")
    _ip(lines, "-force")


def _ip(lines: list[str], *options: str) -> None:
    """Run commands of ``ip``. Raises ``SettingsError`` with what it complains of."""
    done = subprocess.run(
        ["ip", *options, "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False
    )
    if done.returncode and "-force" not in options:
        raise SettingsError(f"--namespaces: hosts cannot be made here: {done.stderr.strip() or done.stdout.strip()}")
