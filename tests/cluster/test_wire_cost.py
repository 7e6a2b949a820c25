"""What daemons say that they cost against the kernel's counts at their interfaces, each in its own namespace."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.daemons import Daemon
from benchmarks.namespaces import INTERFACE, Host, Hosts, missing
from benchmarks.traffic import booked
from dslnode.accounting.ledger import Direction
from dslnode.config.quantities import IDLE_BYTES_PER_SECOND
from tests.networks import Operator

PORT = 7711
TOLERANCE = 0.02
SETUP_BYTES = 1_000
"""What no open socket shows: options of the first segments, and the last ones after a socket was closed."""
IDLE_SECONDS = 31.0
NOTICED_SECONDS = 10.0
SILENT_SECONDS = 20.0
"""Of silence before a neighbour vanishes, so that probes go to and fro and nothing else does."""

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"needs network namespaces: {missing()}")


def start(hosts: list[Host], index: int, *options: str) -> Daemon:
    """Start a daemon on one of two hosts; the first dials the second, which waits to be dialled.

    The second has a peer that does not exist: without any peer it would wait for nobody, and be done before a first
    daemon that starts slowly has found it.
    """
    peers = ("--peers", "127.0.0.1:9" if index else f"{hosts[1].address}:{PORT}")
    return Daemon(
        *("--name", f"node-{index}", "--listen", f"0.0.0.0:{PORT}", *peers, "--metrics", "off"),
        *("--data", "digits", "--share", f"{index + 1}/2", *options),
        prefix=hosts[index].prefix,
    )


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "options",
    [("--exchange", "sign"), pytest.param(("--exchange", "both"), marks=pytest.mark.slow)],
    ids=["sign", "both"],
)
def test_the_ledger_agrees_with_the_interface(tmp_path: Path, options: tuple[str, ...], secure: bool) -> None:
    operator = Operator(tmp_path / "authority")
    tickets = [operator.ticket(f"node-{index}") for index in range(2)] if secure else []
    quick = ("--rounds", "30", "--local-steps", "3", "--evaluate-every", "1000", "--send-threshold", "0")
    trust: list[tuple[str, ...]] = [("--ticket", str(ticket)) for ticket in tickets] or [
        ("--insecure",),
        ("--insecure",),
    ]
    directories = [tmp_path / "0", tmp_path / "1"]
    with ExitStack() as running:
        hosts = running.enter_context(Hosts(2))
        before = [host.counters() for host in hosts]
        daemons = [
            running.enter_context(
                start(
                    hosts,
                    index,
                    *quick,
                    "--wait-for-peers",
                    "60",
                    "--state-dir",
                    str(directory),
                    *options,
                    *trust[index],
                )
            )
            for index, directory in enumerate(directories)
        ]
        for daemon in daemons:
            daemon.wait_for("stopped")
        after = [host.counters() for host in hosts]
    for index, directory in enumerate(directories):
        sent, received = booked(directory, Direction.SENT), booked(directory, Direction.RECEIVED)
        repeated = booked(directories[1 - index], Direction.SENT).resent  # a receiver's kernel does not count these
        counted = after[index].sent - before[index].sent, after[index].received - before[index].received
        assert sent.total == pytest.approx(counted[0], rel=TOLERANCE, abs=SETUP_BYTES)
        assert received.total + repeated == pytest.approx(counted[1], rel=TOLERANCE, abs=SETUP_BYTES)
        assert sent.sign_bits > 25 * 18_944 / 4
        assert (sent.keep_bits > 25 * 500) == ("both" in options), "coded: less than a bit a weight, more than headers"


@pytest.mark.parametrize("secure", [False, pytest.param(True, marks=pytest.mark.chaos)], ids=["plain", "tls"])
@pytest.mark.slow  # it watches a link in which nothing happens
def test_an_idle_link_costs_little(tmp_path: Path, secure: bool) -> None:
    """Both daemons wait for a second peer that does not exist; the window holds several of the kernel's probes."""
    with ExitStack() as running:
        hosts = running.enter_context(Hosts(2))
        idle(running, hosts, Operator(tmp_path / "authority") if secure else None)
        before = hosts[0].counters()
        time.sleep(IDLE_SECONDS)
        after = hosts[0].counters()
    cost = after.sent + after.received - before.sent - before.received
    print(f"an idle link costs {cost / IDLE_SECONDS:.1f} bytes a second, both ways together")
    assert 0 < cost <= IDLE_BYTES_PER_SECOND * IDLE_SECONDS


@pytest.mark.chaos
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_neighbour_that_vanishes_without_a_word_is_noticed_on_both_sides_in_ten_seconds(
    tmp_path: Path, secure: bool
) -> None:
    """As when power or radio is gone: nobody tells the kernels that the connection is over."""
    operator = Operator(tmp_path / "authority") if secure else None
    with ExitStack() as running:
        hosts = running.enter_context(Hosts(2))
        daemons = idle(running, hosts, operator)
        time.sleep(SILENT_SECONDS)
        began = time.monotonic()
        subprocess.run(["ip", "-n", hosts[1].namespace, "link", "set", INTERFACE, "down"], check=True)
        took = []
        for daemon in daemons:
            moment, _ = daemon.wait_for("neighbour down", seconds=NOTICED_SECONDS)
            took.append(daemon.began + moment - began)
    print(f"missed after {took[0]:.1f} s by the side that dialled, {took[1]:.1f} s by the other")
    assert max(took) <= NOTICED_SECONDS


def idle(running: ExitStack, hosts: list[Host], operator: Operator | None = None) -> list[Daemon]:
    """Return two linked daemons that wait for more peers before their first round, past the bytes of the handshake."""
    waiting = ("--wait-for-peers", "600", "--peers")
    peers = [f"{hosts[1].address}:{PORT},127.0.0.1:9", "127.0.0.1:9,127.0.0.1:10"]
    trust = [("--ticket", str(operator.ticket(f"node-{i}"))) if operator else ("--insecure",) for i in range(2)]
    daemons = [running.enter_context(start(hosts, i, *trust[i], *waiting, peers[i])) for i in range(2)]
    for daemon in daemons:
        daemon.wait_for("neighbour up")
    former = None
    while former != (former := hosts[0].counters()):
        time.sleep(0.5)
    return daemons
