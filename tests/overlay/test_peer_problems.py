"""Problems with peers are logged once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dslnode.overlay.peer_problems import MAX_REMEMBERED, ProblemLog
from dslnode.telemetry.logs import Logger


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def warning(self, _event: str, neighbour: str, why: str, **_: Any) -> None:
        self.lines.append((neighbour, why))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def problems(log: Log) -> ProblemLog:
    return ProblemLog({"10.0.0.2:7711"}, cast(Logger, log))


def test_a_peer_that_does_not_answer_is_logged_when_that_begins_and_changes(problems: ProblemLog, log: Log) -> None:
    for why in ("closed", "closed", "no name", "closed"):
        problems.peer_unreachable("10.0.0.2:7711", why)
    assert [why for _, why in log.lines] == ["closed", "no name", "closed"]
    assert problems.current == {"10.0.0.2:7711": "closed"}
    problems.resolved("10.0.0.2:7711")
    assert not problems.current
    problems.peer_unreachable("10.0.0.2:7711", "closed")
    assert len(log.lines) == 4


def test_a_stranger_is_logged_once_for_each_reason_whatever_port_it_calls_from(problems: ProblemLog, log: Log) -> None:
    for number in range(30):
        reason = ("plaintext", "expired", "revoked")[number % 3]
        problems.peer_refused(f"10.9.9.9:{40_000 + number}", reason, f"because of {reason}")
    assert [why for _, why in log.lines] == ["because of plaintext", "because of expired", "because of revoked"]
    problems.peer_refused("10.9.9.8:1", "plaintext", "because of plaintext")
    assert len(log.lines) == 4
    assert not problems.current


def test_strangers_cannot_fill_the_memory(problems: ProblemLog) -> None:
    for number in range(2 * MAX_REMEMBERED):
        problems.peer_refused(f"10.0.{number >> 8}.{number & 255}:1", "plaintext", "why")
    assert len(problems._last_logged) <= MAX_REMEMBERED
