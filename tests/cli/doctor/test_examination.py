"""``dslnode doctor`` as a user runs it: before a node starts, and while it runs."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from dslnode.cli.doctor import host
from dslnode.cli.doctor.examination import examine
from dslnode.cli.doctor.findings import Level
from dslnode.config.loader import load
from dslnode.errors import ExitCode
from tests.cli.test_main import run
from tests.cluster.processes import NodeProcess, free_port
from tests.networks import DAY, NOW, Operator

Findings = dict[str, list[dict[str, Any]]]


def examined(*options: str) -> tuple[int, Findings]:
    """Return the exit code, and the findings by what was checked."""
    done = run("doctor", "--json", "--metrics", "off", *options)
    result = json.loads(done.stdout)
    found: Findings = {}
    for finding in result["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    assert (done.returncode == ExitCode.PROBLEM) == (result["worst"] == "problem")
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
    assert "10.8 kbit" in found["bits"][0]["what"]
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


def test_all_problems_are_found_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        done = run("doctor", "--listen", taken, "--metrics", "off", "--data", "idx:/absent", "--peers", "x.invalid:1")
    assert done.returncode == ExitCode.PROBLEM
    assert f"PROBLEM listen  {taken} cannot be bound: it is held by " in done.stdout
    assert f"(process {os.getpid()})" in done.stdout
    assert "PROBLEM data    /absent: there is no such directory" in done.stdout
    assert "PROBLEM peers   x.invalid:1: the name is not known" in done.stdout
    assert done.stdout.count("-> ") >= 3
    assert "PROBLEM ticket  --peers x.invalid:1 would be dialled without encryption" in done.stdout
    assert "4 problems" in done.stdout.splitlines()[-1]


def test_a_ticket_is_examined_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    """A good one, one that others may read, and one that a running node would refuse for its end."""
    operator = Operator(tmp_path / "authority", "greenhouse")
    free = ("--listen", f"0.0.0.0:{free_port()}", "--state-dir", str(tmp_path))
    good, old = operator.ticket("board-1"), operator.ticket("board-2", NOW - 91 * DAY)
    code, found = examined(*free, "--ticket", str(good))
    assert (code, [each["level"] for each in found["ticket"]]) == (ExitCode.DONE, ["ok"])
    code, found = examined(*free, "--ticket", str(old))
    assert (code, "dslnode ca renew board-2" in found["ticket"][0]["fix"]) == (ExitCode.PROBLEM, True)
    good.chmod(0o640)
    code, found = examined(*free, "--ticket", str(good))
    assert (code, found["ticket"][0]["fix"]) == (ExitCode.PROBLEM, f"chmod 600 {good}")
    assert {"disk", "data", "round"} <= found.keys(), "the rest is looked at all the same"


def test_a_node_with_a_ticket_that_finds_no_place_for_sockets_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "parent_directories", lambda _: [tmp_path / "missing"])
    ticket = Operator(tmp_path / "authority", "greenhouse").ticket("board-1")
    peer = "127.0.0.1:1"
    given = {"ticket": str(ticket), "listen": f"127.0.0.1:{free_port()}", "peers": peer, "metrics": "off"}
    loaded = load(given, {}, None)
    found = [each for each in examine(loaded, 1.0) if each.check in {"sockets", "peers"}]
    assert [(each.check, each.level) for each in found] == [("sockets", Level.PROBLEM), ("peers", Level.WARNING)]
    assert "set TMPDIR" in found[0].what
    assert "not asked" in found[1].what


def test_a_wrong_setting_ends_as_for_start() -> None:
    assert run("doctor", "--keep-ratio", "2").returncode == ExitCode.SETTINGS
