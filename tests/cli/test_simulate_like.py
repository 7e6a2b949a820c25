"""A simulation like a running network: what its nodes report becomes graph, ratios, speeds and cap."""

from __future__ import annotations

import pytest

from dslnode.cli.simulate_like import likeness_of
from dslnode.errors import SettingsError
from dslnode.v1 import node_pb2 as pb
from tests.cli.test_crawler import reply, report, seen

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
