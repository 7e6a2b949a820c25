"""Ports, clock, disk, memory and peers: what the probes find, and what the checks make of it."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from dslnode.cli.doctor.findings import Finding, Level, findings_as_dict, from_error, worst_level
from dslnode.cli.doctor.host import (
    ClockFacts,
    DiskFacts,
    PortFacts,
    check_clock,
    check_disk,
    check_port,
    check_state_directory,
    own_addresses,
    probe_clock,
    probe_disk,
    probe_port,
)
from dslnode.cli.doctor.reach import PeerFacts, check_peer_clocks, check_peer_models, check_peers
from dslnode.v1 import node_pb2 as pb
from tests.cluster.processes import free_port

REPLY = pb.StatusReply(name="board-2", run_id="greenhouse", round=7, weights=100)
OK, WARNING, PROBLEM = Level.OK, Level.WARNING, Level.PROBLEM


def level(found: Finding | list[Finding]) -> Level:
    findings = [found] if isinstance(found, Finding) else found
    assert all(bool(each.fix) == (each.level is not OK) for each in findings), "a fix exactly where one is needed"
    return worst_level(findings)


@pytest.mark.parametrize(
    ("port", "expected", "message"),
    [
        (PortFacts("listen", "0.0.0.0:7711"), OK, "is free"),
        (PortFacts("listen", "0.0.0.0:7711", "in use", "python", "board-1"), OK, "this node is running there"),
        (PortFacts("listen", "0.0.0.0:7711", "in use", "python", "board-9"), PROBLEM, "the dslnode 'board-9'"),
        (
            PortFacts("metrics", "1.2.3.4:1", "in use", "nginx (process 7)"),
            PROBLEM,
            "held by nginx (process 7) (in use)",
        ),
    ],
)
def test_ports(port: PortFacts, expected: Level, message: str) -> None:
    found = check_port(port, "board-1")
    assert (level(found), found.check) == (expected, port.setting)
    assert message in found.what


@pytest.mark.parametrize(
    ("peer", "expected", "message"),
    [
        (PeerFacts("b:1", ("10.0.0.2",), reply=REPLY), OK, "b:1 (10.0.0.2): 'board-2' answers, in round 7"),
        (PeerFacts("b:1", problem="no answer"), WARNING, "no answer"),
        (PeerFacts("b:1", resolve_error="Name or service not known"), PROBLEM, "the name is not known"),
        (
            PeerFacts("b:1", reply=pb.StatusReply(name="x", run_id="orchard")),
            PROBLEM,
            "run 'orchard', not 'greenhouse'",
        ),
        (PeerFacts("b:1", reply=pb.StatusReply(name="board-1", run_id="greenhouse")), WARNING, "own name"),
    ],
)
def test_peers(peer: PeerFacts, expected: Level, message: str) -> None:
    [found] = check_peers((peer,), "greenhouse", "board-1")
    assert level(found) == expected
    assert message in found.what


def test_a_node_without_peers_learns_alone() -> None:
    assert level(check_peers((), "greenhouse", "board-1")) == WARNING


def test_peers_with_another_model_are_a_problem() -> None:
    peers = (PeerFacts("b:1", reply=REPLY), PeerFacts("c:1", problem="no answer"))
    assert check_peer_models(peers, 100) == []
    [found] = check_peer_models(peers, 99)
    assert level(found) == PROBLEM
    assert "100 weights, ours 99" in found.what


@pytest.mark.parametrize(
    ("clock", "offset", "expected", "count"),
    [
        (ClockFacts(True), 0.5, OK, 1),
        (ClockFacts(None), None, OK, 1),
        (ClockFacts(False), None, WARNING, 1),
        (ClockFacts(True, file_lead_seconds=3_600), None, PROBLEM, 1),
        (ClockFacts(True), -40.0, WARNING, 2),
    ],
)
def test_clocks(clock: ClockFacts, offset: float | None, expected: Level, count: int) -> None:
    peer = PeerFacts("b:1", reply=REPLY, clock_offset=offset)
    found = [check_clock(clock), *check_peer_clocks([peer])]
    assert (level(found), len(found)) == (expected, count)
    assert offset != -40.0 or "40.0 s behind ours" in found[-1].what


DISK = DiskFacts("/state", free_bytes=1_000_000, bytes_per_second=1_000_000)


@pytest.mark.parametrize(
    ("disk", "state", "seconds", "expected"),
    [
        (None, None, None, WARNING),
        (DISK, None, None, OK),
        (DISK, 400_000, 10.0, OK),
        (DISK, 600_000, 10.0, PROBLEM),
        (DISK, 400_000, 0.5, WARNING),
        (replace(DISK, problem="cannot be written"), 1, 1.0, PROBLEM),
    ],
)
def test_disks(disk: DiskFacts | None, state: int | None, seconds: float | None, expected: Level) -> None:
    assert level(check_disk(disk, state, seconds)) == expected


def test_an_error_message_is_split_into_problem_and_fix() -> None:
    found = from_error("data", "/x: there is no such directory; give the one; that has it")
    assert (found.what, found.fix) == ("/x: there is no such directory; give the one", "that has it")
    assert level(from_error("data", "broken")) == PROBLEM


def test_scripts_get_the_worst_level_and_all_findings() -> None:
    findings = [Finding("a", OK, "well"), Finding("b", PROBLEM, "bad", "fix it"), Finding("c", WARNING, "hm", "x")]
    result = findings_as_dict(findings)
    assert result["worst"] == "problem"
    assert result["findings"][1] == {"check": "b", "level": "problem", "what": "bad", "fix": "fix it"}
    assert worst_level([]) == OK


def test_a_taken_port_is_found_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = probe_port("listen", f"127.0.0.1:{holder.getsockname()[1]}", None)
    assert port.problem == "Address already in use"
    assert f"(process {os.getpid()})" in port.holder
    assert probe_port("listen", "192.0.2.1:0", None).problem == "Cannot assign requested address"
    assert probe_port("listen", f"[::1]:{free_port()}", None).problem == ""


def test_own_addresses_are_without_loopback() -> None:
    found = own_addresses()
    assert not {"127.0.0.1", "::1"} & set(found)


def test_a_file_from_the_future_shows_a_wrong_clock(tmp_path: Path) -> None:
    assert probe_clock(tmp_path).file_lead_seconds == 0
    (tmp_path / "state").write_text("")
    os.utime(tmp_path / "state", (2**32, 2**32))
    assert probe_clock(tmp_path).file_lead_seconds > 1_000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    found = probe_disk(tmp_path / "state")
    assert found is not None
    assert "cannot be written" in found.problem


def test_a_disk_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    found = probe_disk(tmp_path)
    assert found is not None
    assert (found.problem, list(tmp_path.iterdir())) == ("", [])
    assert found.bytes_per_second > 0
    assert probe_disk(None) is None


def test_a_state_directory_that_others_reach_and_names_that_are_taken_are_found(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert not [*check_state_directory(tmp_path), *check_state_directory(None)]
    tmp_path.chmod(0o755)
    (tmp_path / "lock").symlink_to("elsewhere")
    blocked, exposed = check_state_directory(tmp_path)
    assert (blocked.level, exposed.level) == (Level.PROBLEM, Level.WARNING)
    assert f"{tmp_path}/lock: is a symbolic link" in blocked.what
    assert exposed.fix == f"chmod 700 {tmp_path}"
