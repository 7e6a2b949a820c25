"""The bookkeeper: traffic is booked once, over restarts and crashes, and reserves hold."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import structlog
from structlog.testing import capture_logs

from dslnode.accounting.bookkeeper import Bookkeeper
from dslnode.accounting.ledger import EARLIEST_HOUR, OTHERS, Amounts, Direction, total
from dslnode.protocol.messages import MaskKind
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.traffic import Traffic


class Node:
    """Traffic, a clock that is set by hand, and the bookkeeper of one process's life."""

    def __init__(self, directory: Path | None, traffic: dict[str, Traffic] | None = None, cap: int = 0) -> None:
        self.traffic = {"ab": Traffic()} if traffic is None else traffic
        self.hours = float(EARLIEST_HOUR + 10)
        neighbour = SimpleNamespace(neighbour=SimpleNamespace(name="board"))
        network = SimpleNamespace(traffic=self.traffic, links={"ab": neighbour}, measure_traffic=lambda: None)
        log = structlog.get_logger()
        self.bookkeeper = Bookkeeper(cast(ConnectionManager, network), directory, log, lambda: 3_600 * self.hours)
        self.bookkeeper.open(cap)

    def send(self, control: int) -> None:
        """Count so many bytes of control messages as sent."""
        self.traffic["ab"].sent.control_bytes += control

    @property
    def total(self) -> int:
        """All that is booked, in bytes."""
        return total(self.bookkeeper.ledger.days.values()).total


def test_traffic_is_booked_once_under_the_hour_of_the_clock() -> None:
    node = Node(None)
    node.send(100)
    node.bookkeeper.book()
    node.bookkeeper.book()
    node.hours += 1
    node.send(20)
    node.bookkeeper.book()
    by_hour = {hour - EARLIEST_HOUR: total(period).total for hour, period in node.bookkeeper.ledger.hours.items()}
    assert by_hour == {10: 100, 11: 20}


def test_bytes_of_a_message_under_way_are_booked_once_and_over_when_it_is_whole() -> None:
    node = Node(None)
    flow = node.traffic["ab"].sent
    flow.link_bytes = 1_340
    node.bookkeeper.book()
    flow.count(986, MaskKind.KEEP, 8 * 986)
    node.bookkeeper.book()
    [amounts] = node.bookkeeper.ledger.days[node.bookkeeper.hour // 24].values()
    assert amounts == Amounts(keep_bits=8 * 986, keep_framing=14, transport=340)
    assert node.bookkeeper.booked_bytes == node.total == 1_340


async def test_a_restart_continues_the_ledger(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.send(100)
    assert await node.bookkeeper.save()
    after = Node(tmp_path)
    after.send(7)
    after.bookkeeper.book()
    assert after.total == 107
    assert after.bookkeeper.peer_names == {"ab": "board"}


@pytest.mark.parametrize("remembered", [0, 60, 100, 150])
async def test_a_crash_loses_only_what_neither_ledger_nor_state_had(tmp_path: Path, remembered: int) -> None:
    """The round's state may be older or newer than the ledger; nothing that either has is lost or counted twice."""
    node = Node(tmp_path)
    node.send(100)
    await node.bookkeeper.save()
    traffic = Traffic()
    traffic.sent.control_bytes = remembered
    after = Node(tmp_path, {"ab": traffic})
    assert after.total == max(100, remembered)
    after.send(5)
    after.bookkeeper.book()
    assert after.total == max(100, remembered) + 5


async def test_after_a_crash_a_reserve_counts_as_sent(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.bookkeeper.reserve_bytes = 1_000
    assert await node.bookkeeper.reserve(10)
    node.send(400)
    node.bookkeeper.book()
    after = Node(tmp_path)
    assert after.total == 1_000
    [period] = after.bookkeeper.ledger.days.values()
    assert period[(OTHERS, Direction.SENT)] == Amounts(unsaved=1_000)


async def test_traffic_in_the_state_is_not_counted_again_with_the_reserve(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.bookkeeper.reserve_bytes = 1_000
    await node.bookkeeper.reserve(10)
    traffic = Traffic()
    traffic.sent.control_bytes = 400
    after = Node(tmp_path, {"ab": traffic})
    assert after.total == 1_000


async def test_the_disk_is_written_only_when_a_reserve_is_used_up_or_the_hour_ends(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.bookkeeper.reserve_bytes = 1_000
    written: list[bool] = []
    for hours, moved in ((0, 300), (0, 300), (0, 300), (0, 300), (1, 1)):
        node.hours += hours
        before = (tmp_path / "ledger").read_bytes() if written else b""
        assert await node.bookkeeper.reserve(moved)
        written.append((tmp_path / "ledger").read_bytes() != before)
        node.send(moved)
        node.bookkeeper.book()
    assert written == [True, False, False, True, True]


async def test_a_disk_that_cannot_be_written_grants_no_reserve(tmp_path: Path) -> None:
    node = Node(tmp_path / "gone")
    assert not await node.bookkeeper.reserve(1)
    assert node.total == 0


async def test_it_saves_once_more_when_it_ends(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.bookkeeper.reserve_bytes = 1_000
    node.send(100)
    running = asyncio.create_task(node.bookkeeper.run(lambda: None))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert Node(tmp_path).total == 100


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


async def test_a_damaged_ledger_costs_nothing_and_is_told_in_one_line(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.bookkeeper.reserve_bytes = 1_000
    node.send(100)
    await node.bookkeeper.reserve(10)
    flip(tmp_path / "ledger")
    with capture_logs() as log:
        after = Node(tmp_path, cap=5_000)
    assert after.total == 1_100, "what was booked, and the reserve"
    assert [line["event"] for line in log] == ["copy of the ledger taken"]
    assert (tmp_path / "ledger.damaged").exists()
    with capture_logs() as log:
        assert Node(tmp_path, cap=5_000).total == 1_100, "and the next start finds it whole"
    assert not log


@pytest.mark.parametrize(("cap", "outcome"), [(5_000, "the data cap counts as used up"), (0, "a new ledger begins")])
async def test_a_lost_ledger_counts_the_cap_as_used_up_however_often_the_node_is_killed(
    tmp_path: Path, cap: int, outcome: str
) -> None:
    node = Node(tmp_path)
    node.send(100)
    await node.bookkeeper.save()
    for name in ("ledger", "ledger.copy"):
        flip(tmp_path / name)
    with capture_logs() as log:
        after = Node(tmp_path, cap=cap)
    [line] = log
    assert line["event"] == "ledger lost"
    assert outcome in line["outcome"]
    assert after.total == Node(tmp_path, cap=cap).total == cap


async def test_a_disk_that_takes_no_ledger_is_told_once_and_at_the_end(tmp_path: Path) -> None:
    node = Node(tmp_path / "gone")
    with capture_logs() as log:
        for _ in range(20):
            await node.bookkeeper.save()
        await node.bookkeeper.save(is_last=True)
        (tmp_path / "gone").mkdir()
        await node.bookkeeper.save()
    assert [(line["event"], line.get("failures")) for line in log] == [
        ("ledger not saved", None),
        ("ledger not saved", 21),
        ("ledger saved again", 21),
    ]
