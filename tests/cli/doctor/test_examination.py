"""``dslnode doctor`` as a user runs it: before a node starts, and while it runs."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from dslnode.cli.doctor.host_facts import look_at_clock, look_at_disk, look_at_port, own_addresses
from dslnode.errors import ExitCode
from tests.cli.test_main import run
from tests.cluster.processes import NodeProcess, free_port
from tests.networks import DAY, NOW, Operator

Findings = dict[str, list[dict[str, Any]]]


def examined(*options: str) -> tuple[int, Findings]:
    """Return the exit code, and the findings by what was checked."""
    done = run("doctor", "--json", "--metrics", "off", *options)
    told = json.loads(done.stdout)
    found: Findings = {}
    for finding in told["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    assert (done.returncode == ExitCode.PROBLEM) == (told["worst"] == "problem")
    return done.returncode, found


def test_before_a_node_starts(tmp_path: Path) -> None:
    code, found = examined("--listen", f"127.0.0.1:{free_port()}", "--state-dir", str(tmp_path / "state"))
    assert code == ExitCode.DONE
    assert {
        "ticket",
        "listen",
        "reach",
        "peers",
        "clock",
        "disk",
        "torch",
        "data",
        "memory",
        "round",
        "bits",
    } <= found.keys()
    assert "is free" in found["listen"][0]["what"]
    assert "a state of" in found["disk"][0]["what"]
    assert "18.9 kbit" in found["bits"][0]["what"]
    assert not (tmp_path / "state").exists(), "it changes nothing"


def test_while_nodes_run() -> None:
    """The own port is taken by this very node, the peer answers, and another run's node is told apart."""
    with NodeProcess("board-1", free_port(), "--local-steps", "1") as node:
        node.wait_for_round(1)
        code, found = examined("--name", "board-1", "--listen", node.address)
        assert (code, found["listen"][0]["what"]) == (ExitCode.DONE, f"{node.address}: this node is running there")
        address = f"127.0.0.1:{free_port()}"
        other = ("--name", "board-2", "--listen", address, "--peers", node.address)
        code, found = examined(*other, "--keep-ratio", "0.5")
        assert code == ExitCode.DONE
        assert "'board-1' answers" in found["peers"][0]["what"]
        assert f"board-1, on this machine, reached us at {address}" in found["reach"][1]["what"]
        code, found = examined(*other, "--run-id", "orchard", "--class-count", "12")
        assert code == ExitCode.PROBLEM
        assert "is of run 'default', not 'orchard'" in found["peers"][0]["what"]
        assert "its model has 18,944 weights" in found["peers"][1]["what"]


def test_what_will_not_work_is_all_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        done = run("doctor", "--listen", taken, "--metrics", "off", "--data", "idx:/absent", "--peers", "x.invalid:1")
    assert done.returncode == ExitCode.PROBLEM
    assert f"PROBLEM listen  {taken} cannot be had by " in done.stdout
    assert f"(process {os.getpid()})" in done.stdout
    assert "PROBLEM data    /absent: there is no such directory" in done.stdout
    assert "PROBLEM peers   x.invalid:1: the name is not known" in done.stdout
    assert done.stdout.count("-> ") >= 3
    assert "PROBLEM ticket  --peers x.invalid:1 would be talked with unencrypted" in done.stdout
    assert "4 problems" in done.stdout.splitlines()[-1]


def test_a_ticket_is_looked_at_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    """A good one, one that others may read, and one that a running node would refuse for its end."""
    operator = Operator(tmp_path / "authority", "greenhouse")
    free = ("--listen", f"0.0.0.0:{free_port()}", "--state-dir", str(tmp_path))
    good, old = operator.ticket("board-1"), operator.ticket("board-2", NOW - 91 * DAY)
    code, found = examined(*free, "--ticket", str(good))
    assert (code, [one["level"] for one in found["ticket"]]) == (ExitCode.DONE, ["ok"])
    code, found = examined(*free, "--ticket", str(old))
    assert (code, "dslnode ca renew board-2" in found["ticket"][0]["fix"]) == (ExitCode.PROBLEM, True)
    good.chmod(0o640)
    code, found = examined(*free, "--ticket", str(good))
    assert (code, found["ticket"][0]["fix"]) == (ExitCode.PROBLEM, f"chmod 600 {good}")
    assert {"disk", "data", "round"} <= found.keys(), "the rest is looked at all the same"


def test_a_wrong_setting_ends_as_for_start() -> None:
    assert run("doctor", "--keep-ratio", "2").returncode == ExitCode.SETTINGS


def test_a_taken_port_is_told_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = look_at_port("listen", f"127.0.0.1:{holder.getsockname()[1]}", None)
    assert port.problem == "Address already in use"
    assert f"(process {os.getpid()})" in port.holder
    assert look_at_port("listen", "192.0.2.1:0", None).problem == "Cannot assign requested address"
    assert look_at_port("listen", f"[::1]:{free_port()}", None).problem == ""


def test_own_addresses_are_none_of_this_machine_only() -> None:
    found = own_addresses()
    assert found is not None
    assert not {"127.0.0.1", "::1"} & set(found)


def test_a_file_from_the_future_shows_a_wrong_clock(tmp_path: Path) -> None:
    assert look_at_clock(tmp_path).files_ahead == 0
    (tmp_path / "state").write_text("")
    os.utime(tmp_path / "state", (2**32, 2**32))
    assert look_at_clock(tmp_path).files_ahead > 1_000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    found = look_at_disk(tmp_path / "state")
    assert found is not None
    assert "cannot be written" in found.problem


def test_a_disk_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    found = look_at_disk(tmp_path)
    assert found is not None
    assert (found.problem, list(tmp_path.iterdir())) == ("", [])
    assert found.speed > 0
    assert look_at_disk(None) is None
