"""The alert of a split network: after a while, once per node, and taken back."""

from __future__ import annotations

from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from dslnode.overlay import split_alert
from dslnode.overlay.split_alert import MAX_NAMES_LOGGED, SplitAlert
from dslnode.protocol.membership import MemberRecord, ReachabilityView
from dslnode.telemetry.logs import Logger
from tests.runtime.test_credential_watch import Log

GRACE = 10.0
MEMBERS = {key: MemberRecord(key, 1, f"board-{key}", "") for key in "abcdefgh"}
WHOLE = ReachabilityView(frozenset("0abcdefgh"))


def split(missing: str, components: int = 2) -> ReachabilityView:
    return ReachabilityView(WHOLE.reachable - set(missing), frozenset(missing), components)


class Told:
    """An alert, with what it logged and set."""

    def __init__(self) -> None:
        self.log, self.registry = Log(), CollectorRegistry()
        self.alert = SplitAlert(cast(Logger, self.log), self.registry)

    def update(self, view: ReachabilityView, now: float) -> list[tuple[str, str]]:
        self.alert.update(view, MEMBERS, now)
        return self.log.take()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(split_alert, "SPLIT_GRACE_SECONDS", GRACE)
    return Told()


def test_a_short_absence_is_not_worth_a_line(told: Told) -> None:
    assert not told.update(split("a"), 100.0)
    assert not told.update(split("a"), 100.0 + GRACE - 1)
    assert not told.update(WHOLE, 100.0 + GRACE)
    assert not told.update(split("a"), 100.0 + GRACE + 1), "the time begins anew"


def test_each_missing_node_is_warned_of_once_until_all_are_back(told: Told) -> None:
    told.update(split("a"), 0.0)
    assert told.update(split("a"), GRACE) == [("warning", "network split")]
    assert not told.update(split("a"), GRACE + 1)
    assert told.update(split("ab"), GRACE + 2) == [("warning", "network split")]
    assert told.update(WHOLE, GRACE + 3) == [("info", "network whole again")]
    assert not told.update(WHOLE, GRACE + 4)


def test_the_line_names_some_of_the_missing(told: Told) -> None:
    told.update(split("abcdefgh", 3), 0.0)
    told.alert.update(split("abcdefgh", 3), MEMBERS, GRACE)
    ((_, _, fields),) = told.log.lines
    assert fields.pop("missing").split(",") == [f"board-{key}" for key in "abcdefgh"[:MAX_NAMES_LOGGED]]
    assert fields == {"reachable": 1, "known": 9, "components": 3}


def test_gauges_show_it_at_once(told: Told) -> None:
    told.update(split("ab", 3), 0.0)
    value = told.registry.get_sample_value
    assert value("dslnode_components") == 3
    assert value("dslnode_members", {"state": "reachable"}) == 7
    assert value("dslnode_members", {"state": "known"}) == 9
