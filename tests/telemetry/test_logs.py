"""Loggers: one event per line; what libraries complain of becomes a line, once; nothing global is configured."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog

from dslnode.telemetry.logs import MAX_KINDS, LibraryHandler, library_logger, make_logger


class Libraries:
    """A standard logger of a library, heard by a node's log."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger = logging.Logger("grpc._cython.cygrpc")
        self.logger.addHandler(LibraryHandler(make_logger("json", "info", self.stream)))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_a_library_that_complains_of_every_call_is_heard_once_on_one_line() -> None:
    grpc = Libraries()
    for number in range(50):
        try:
            raise ValueError(f"\x1b[2J\n{number}" + "x" * 10_000)
        except ValueError:
            grpc.logger.exception("Unexpected [%s] raised by servicer method", "ValueError")
    [line] = grpc.lines()
    assert (line["event"], line["level"], line["library"]) == ("library", "warning", grpc.logger.name)
    assert line["why"].startswith("Unexpected [ValueError] raised by servicer method ValueError:  [2J 0x")
    assert len(line["why"]) <= 300


def test_kinds_are_told_apart_and_bounded() -> None:
    grpc = Libraries()
    for number in range(2 * MAX_KINDS):
        grpc.logger.error(f"kind {number}\nfuture: <{number}>")
    assert len(grpc.lines()) == MAX_KINDS


def test_what_is_no_warning_is_not_passed_on() -> None:
    grpc = Libraries()
    grpc.logger.warning("once")
    grpc.logger.info("what is of no weight is not told")
    assert len(grpc.lines()) == 1


def test_a_logger_shows_events_from_its_level_on() -> None:
    stream = io.StringIO()
    log = make_logger("text", "warning", stream)
    log.info("started", port=7711)
    log.warning("ticket", problem="ends")
    [line] = stream.getvalue().splitlines()
    assert "ticket" in line
    assert "problem=ends" in line


def test_an_embedded_nodes_log_is_the_hosts_to_show(caplog: pytest.LogCaptureFixture) -> None:
    configured = structlog.is_configured()
    log = library_logger()
    with caplog.at_level(logging.INFO, logger="dslnode"):
        log.info("round", round=3, accuracy=0.5)
    log.debug("what nobody asked for")
    assert caplog.messages == ["event='round' round=3 accuracy=0.5"]
    assert structlog.is_configured() == configured
