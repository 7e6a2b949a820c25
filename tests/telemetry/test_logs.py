"""The log: what libraries complain of becomes a line of it, once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from dslnode.telemetry.logs import LIBRARIES, MAX_KINDS, set_up

GRPC = logging.getLogger("grpc._cython.cygrpc")


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = {name: logging.getLogger(name).handlers for name in LIBRARIES}
    yield
    for name, handlers in before.items():
        logging.getLogger(name).handlers = handlers


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_library_that_complains_of_every_call_is_heard_once_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json", "info")
    for number in range(50):
        try:
            raise ValueError(f"\x1b[2J\n{number}" + "x" * 10_000)
        except ValueError:
            GRPC.exception("Unexpected [%s] raised by servicer method", "ValueError")
    [line] = lines(capsys)
    assert (line["event"], line["level"], line["library"]) == ("library", "warning", GRPC.name)
    assert line["why"].startswith("Unexpected [ValueError] raised by servicer method ValueError:  [2J 0x")
    assert len(line["why"]) <= 300


def test_kinds_are_told_apart_and_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json", "info")
    for number in range(2 * MAX_KINDS):
        logging.getLogger("asyncio").error(f"kind {number}\nfuture: <{number}>")
    assert len(lines(capsys)) == MAX_KINDS


def test_setting_up_twice_tells_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json", "info")
    set_up("json", "info")
    GRPC.warning("once")
    GRPC.info("what is of no weight is not told")
    assert len(lines(capsys)) == 1
