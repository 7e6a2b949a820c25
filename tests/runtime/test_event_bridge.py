"""What happens to links becomes events of the round machine, lines of the log, and events of the node."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dslnode.protocol import events
from dslnode.protocol.messages import ExchangeState, IntervalRequest, Unchanged
from dslnode.runtime.event_bridge import EventBridge, Refusals
from dslnode.runtime.node_events import PeerDown, PeerUp
from dslnode.transport import link_events
from tests.transport.nodes import introduction

BOARD = introduction(3)


class Fakes:
    """Collaborators that note what they are told, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.posted: list[events.Event] = []
        self.published: list[object] = []
        note = self._note
        problems = SimpleNamespace(
            resolved=note("solved"), peer_unreachable=note("not reached"), peer_refused=note("problem")
        )
        metrics = SimpleNamespace(refused=SimpleNamespace(labels=lambda reason: SimpleNamespace(inc=note(reason))))
        self.bridge = EventBridge(
            **cast(
                Any,
                {
                    "accounting": SimpleNamespace(
                        link_up=note("met"), scheduler=SimpleNamespace(on_interval_request=note("asked"))
                    ),
                    "deadline": SimpleNamespace(message_arrived=note("heard")),
                    "problems": problems,
                    "refusals": Refusals(metrics=cast(Any, metrics), problems=cast(Any, problems)),
                    "log": SimpleNamespace(info=lambda event, **facts: self.calls.append((event, *facts.values()))),
                },
            ),
            post=self.posted.append,
            publish=self.published.append,
            clock=lambda: 7.0,
        )

    def _note(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


def test_a_link_that_comes_up_is_posted_published_and_logged() -> None:
    fakes = Fakes()
    fakes.bridge.handle(link_events.LinkUp(BOARD, 12, "10.0.0.3:7711"))
    assert fakes.posted == [events.PeerUp(BOARD.key, 12)]
    assert fakes.published == [PeerUp("node-3", BOARD.key)]
    assert [call[0] for call in fakes.calls] == ["solved", "met", "neighbour up"]


def test_a_link_that_goes_down_is_posted_and_published_with_its_reason() -> None:
    fakes = Fakes()
    fakes.bridge.handle(link_events.LinkDown(BOARD, "it left"))
    assert fakes.posted == [events.PeerDown(BOARD.key)]
    assert fakes.published == [PeerDown("node-3", BOARD.key, "it left")]


def test_messages_reach_the_round_machine_and_the_deadline() -> None:
    fakes = Fakes()
    fakes.bridge.handle(link_events.MaskArrived(BOARD, Unchanged(3)))
    state = ExchangeState(1, 0, bytes(8))
    fakes.bridge.handle(link_events.ExchangeStateArrived(BOARD, state))
    assert fakes.posted == [events.Received(BOARD.key, Unchanged(3)), events.ExchangeStateReceived(BOARD.key, state)]
    assert fakes.calls == [("heard", BOARD.key, 7.0)]


def test_an_interval_that_a_neighbour_asks_for_is_the_schedulers_to_keep() -> None:
    fakes = Fakes()
    fakes.bridge.handle(link_events.IntervalRequested(BOARD, IntervalRequest(60)))
    assert fakes.calls == [("asked", BOARD.key, IntervalRequest(60))]


@pytest.mark.parametrize(("reason", "counted"), [("checksum", True), ("duplicate", False), ("peer_leaving", False)])
def test_refusals_are_counted_unless_they_are_nobodys_fault(reason: str, counted: bool) -> None:
    fakes = Fakes()
    fakes.bridge.handle(link_events.PeerRefused("10.0.0.3:7711", reason, "why"))
    assert fakes.calls == ([(reason,), ("problem", "10.0.0.3:7711", reason, "why")] if counted else [])


def test_a_peer_that_is_not_reached_is_a_problem_to_name() -> None:
    fakes = Fakes()
    fakes.bridge.handle(link_events.DialFailed("10.0.0.9:7711", "no route"))
    assert fakes.calls == [("not reached", "10.0.0.9:7711", "no route")]
    assert not fakes.posted
