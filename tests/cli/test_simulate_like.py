"""A simulation like a running network: what its nodes report becomes graph, ratios, speeds and cap."""

from __future__ import annotations

from pathlib import Path

import pytest

from dslnode.cli import simulate_like
from dslnode.cli.simulate_like import likeness_of, take_likeness
from dslnode.errors import SettingsError
from dslnode.simulation.likeness_file import write_likeness
from dslnode.v1 import node_pb2 as pb
from tests.cli.test_crawler import asking, reply, report, seen

USAGE = pb.Usage(cap_bytes=2_000_000, cap_period="day")
NET = {
    "a:1": reply("a", report("b"), report("c"), round=10, density=0.2, uptime_seconds=50.0, usage=USAGE),
    "b:1": reply("b", report("a"), report("c", up=False), round=20, density=0.4, uptime_seconds=20.0),
}


def test_what_nodes_report_is_taken_and_the_mean_of_it_for_those_that_are_silent() -> None:
    found = likeness_of(seen(NET))
    assert found.neighbours == ((1, 2), (0,), (0,))
    assert found.keep_ratios == pytest.approx((0.2, 0.4, 0.3))
    assert found.round_seconds == pytest.approx((5.0, 1.0, 3.0))
    assert found.data_cap == "2000000B/day"


def test_without_a_finished_round_there_is_nothing_to_go_by() -> None:
    with pytest.raises(SettingsError, match="ask again"):
        likeness_of(seen({"a:1": reply("a", report("b"))}))


def test_the_network_is_asked_once_and_what_it_said_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = dict(NET)
    monkeypatch.setattr(simulate_like, "ask_status", lambda address, **_: asking(net)(address))
    first = take_likeness("a:1", None, tmp_path, resume=True)
    assert first is not None
    assert first == take_likeness("a:1", None, tmp_path, resume=False)
    assert first.address == "a:1"
    write_likeness(tmp_path, first)
    net["a:1"] = reply("a", report("b"), round=11, density=0.2, uptime_seconds=70.0)
    assert take_likeness("a:1", None, tmp_path, resume=True) == first
    assert take_likeness("a:1", None, tmp_path, resume=False) != first


def test_a_malformed_address_is_said_to_be_that_of_like(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--like: "):
        take_likeness("nowhere", None, tmp_path, resume=False)


def test_a_ticket_is_for_a_network_that_is_asked(tmp_path: Path) -> None:
    assert take_likeness(None, None, tmp_path, resume=False) is None
    with pytest.raises(SettingsError, match="--ticket: is for the network that --like asks"):
        take_likeness(None, tmp_path / "ticket", tmp_path, resume=False)
