"""Findings about machine and network, from facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dslnode.cli.doctor.findings import Finding, Level, as_dict, from_error, worst
from dslnode.cli.doctor.host_checks import (
    Clock,
    Disk,
    Peer,
    Port,
    check_clock,
    check_disk,
    check_models,
    check_peers,
    check_port,
)
from dslnode.v1 import node_pb2 as pb

REPLY = pb.StatusReply(name="board-2", run_id="greenhouse", round=7, weights=100)
OK, WARNING, PROBLEM = Level.OK, Level.WARNING, Level.PROBLEM


def level(found: Finding | list[Finding]) -> Level:
    findings = [found] if isinstance(found, Finding) else found
    assert all(bool(one.fix) == (one.level is not OK) for one in findings), "a remedy for what is not well, only"
    return worst(findings)


@pytest.mark.parametrize(
    ("port", "expected", "said"),
    [
        (Port("listen", "0.0.0.0:7711"), OK, "is free"),
        (Port("listen", "0.0.0.0:7711", "in use", "python", "board-1"), OK, "this node is running there"),
        (Port("listen", "0.0.0.0:7711", "in use", "python", "board-9"), PROBLEM, "the dslnode 'board-9'"),
        (Port("metrics", "1.2.3.4:1", "in use", "nginx (process 7)"), PROBLEM, "by nginx (process 7) (in use)"),
    ],
)
def test_ports(port: Port, expected: Level, said: str) -> None:
    found = check_port(port, "board-1")
    assert (level(found), found.check) == (expected, port.setting)
    assert said in found.what


@pytest.mark.parametrize(
    ("peer", "expected", "said"),
    [
        (Peer("b:1", ("10.0.0.2",), reply=REPLY), OK, "b:1 (10.0.0.2): 'board-2' answers, in round 7"),
        (Peer("b:1", problem="no answer"), WARNING, "no answer"),
        (Peer("b:1", unresolved="Name or service not known"), PROBLEM, "the name is not known"),
        (Peer("b:1", reply=pb.StatusReply(name="x", run_id="orchard")), PROBLEM, "run 'orchard', not 'greenhouse'"),
        (Peer("b:1", reply=pb.StatusReply(name="board-1", run_id="greenhouse")), WARNING, "own name"),
    ],
)
def test_peers(peer: Peer, expected: Level, said: str) -> None:
    [found] = check_peers((peer,), "greenhouse", "board-1")
    assert level(found) == expected
    assert said in found.what


def test_a_node_without_peers_learns_alone() -> None:
    assert level(check_peers((), "greenhouse", "board-1")) == WARNING


def test_peers_with_another_model_are_told_beforehand() -> None:
    peers = (Peer("b:1", reply=REPLY), Peer("c:1", problem="no answer"))
    assert check_models(peers, 100) == []
    [found] = check_models(peers, 99)
    assert level(found) == PROBLEM
    assert "100 weights, ours 99" in found.what


@pytest.mark.parametrize(
    ("clock", "ahead", "expected", "count"),
    [
        (Clock(True), 0.5, OK, 1),
        (Clock(None), None, OK, 1),
        (Clock(False), None, WARNING, 1),
        (Clock(True, files_ahead=3_600), None, PROBLEM, 1),
        (Clock(True), -40.0, WARNING, 2),
    ],
)
def test_clocks(clock: Clock, ahead: float | None, expected: Level, count: int) -> None:
    found = check_clock(clock, (Peer("b:1", reply=REPLY, ahead=ahead),))
    assert (level(found), len(found)) == (expected, count)
    assert ahead != -40.0 or "40.0 s behind ours" in found[-1].what


DISK = Disk("/state", free=1_000_000, speed=1_000_000)


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
def test_disks(disk: Disk | None, state: int | None, seconds: float | None, expected: Level) -> None:
    assert level(check_disk(disk, state, seconds)) == expected


def test_an_error_is_taken_apart_into_what_and_remedy() -> None:
    found = from_error("data", "/x: there is no such directory; give the one; that has it")
    assert (found.what, found.fix) == ("/x: there is no such directory; give the one", "that has it")
    assert level(from_error("data", "broken")) == PROBLEM


def test_scripts_get_the_worst_and_all() -> None:
    findings = [Finding("a", OK, "well"), Finding("b", PROBLEM, "bad", "mend it"), Finding("c", WARNING, "hm", "x")]
    told = as_dict(findings)
    assert told["worst"] == "problem"
    assert told["findings"][1] == {"check": "b", "level": "problem", "what": "bad", "fix": "mend it"}
    assert worst([]) == OK
