"""A node is composed of parts that know each other as they should; composing it starts nothing."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import structlog

from dslnode.config.settings import Settings
from dslnode.data.target import Target
from dslnode.protocol import events
from dslnode.protocol.messages import MaskKind
from dslnode.runtime.composition import Hooks, build_node
from dslnode.runtime.prepare import Prepared
from dslnode.security.channels import PlainChannels
from dslnode.transport import link_events
from tests.transport.nodes import SMALL, message, node_info


class Collected:
    """The hooks of a loop that does not run."""

    def __init__(self) -> None:
        self.posted: list[events.Event] = []
        self.published: list[object] = []
        self.finished: list[bool] = []
        self.hooks = Hooks(
            post=self.posted.append,
            publish=self.published.append,
            finish=lambda: self.finished.append(True),
            failed=lambda error: self.posted.append(cast(Any, error)),
        )


def prepared(**values: Any) -> Prepared:
    """Return a node that is prepared with a learner in name only."""
    learner = SimpleNamespace(
        layouts=dict.fromkeys(MaskKind, SMALL),
        initial_mask=message(SMALL, 1).mask,
        fingerprint=bytes(16),
        data=SimpleNamespace(target=Target()),
    )
    return Prepared(
        settings=Settings(metrics="off", **values),
        learner=cast(Any, learner),
        node_info=node_info(1),
        state=None,
        channels=PlainChannels(),
    )


async def test_composing_opens_nothing_and_starts_nothing() -> None:
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    parts = build_node(prepared(), hooks=Collected().hooks, log=structlog.get_logger())
    assert not parts.server.is_open()
    assert threading.active_count() == threads
    assert len(asyncio.all_tasks()) == tasks


async def test_the_round_machine_follows_the_settings() -> None:
    parts = build_node(
        prepared(rounds=7, max_staleness=3, max_lead=2, exchange="both"),
        hooks=Collected().hooks,
        log=structlog.get_logger(),
    )
    machine = parts.core.machine
    assert (machine.limit, machine.max_staleness, machine.max_lead, machine.exchange.value) == (7, 3, 2, "both")


async def test_link_events_reach_the_peers_first_and_then_the_round_machine() -> None:
    collected = Collected()
    parts = build_node(prepared(), hooks=collected.hooks, log=structlog.get_logger())
    board = node_info(2)
    parts.core.dispatcher.dispatch(link_events.LinkUp(board, 4, "10.0.0.2:7711"))
    assert collected.posted == [events.PeerUp(board.key, 4)]
    assert parts.core.status.name_of(board.key) == board.name
    assert len(parts.core.dispatcher.subscribers) == 2


async def test_the_last_command_of_all_rounds_reaches_the_loop() -> None:
    collected = Collected()
    parts = build_node(prepared(), hooks=collected.hooks, log=structlog.get_logger())
    parts.commands.run(events.Finish())
    assert collected.finished == [True]
