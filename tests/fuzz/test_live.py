"""A live daemon learns on while raw clients send it what is not HTTP/2, or not quite."""

from __future__ import annotations

import random

from tests.cluster.processes import NodeProcess, free_port
from tests.fuzz.attack import attack, check_alive
from tests.fuzz.http2 import PREFACE, SETTINGS, call, frame, session

LIFE = ("--local-steps", "1", "--samples-per-class", "3", "--evaluate-every", "1000")


def test_frames_are_those_of_the_standard() -> None:
    assert frame(SETTINGS) == bytes(3) + b"\x04" + bytes(5)
    headers, data = call("/dslnode.v1.Status/Get", b"ab", stream=1)
    assert headers[3:9] == bytes([1, 4, 0, 0, 0, 1])
    assert data == b"\0\0\x07" + bytes([0, 1, 0, 0, 0, 1]) + b"\0\0\0\0\x02ab"


def test_sessions_follow_from_the_seed_and_are_of_all_kinds() -> None:
    made = [session(random.Random(seed)) for seed in range(100)]
    assert made == [session(random.Random(seed)) for seed in range(100)]
    assert 0 < sum(pieces[0] == PREFACE for pieces in made) < 100


def test_a_daemon_survives_raw_clients() -> None:
    with NodeProcess("attacked", free_port(), *LIFE) as node:
        node.wait_for_round(2)
        outcome = attack(node, seed=1, sessions=150, seconds=60)
        assert outcome.sessions == 150
        check_alive(node)
