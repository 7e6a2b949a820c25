"""Each command of the round machine becomes one deed; what comes of it is posted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bitarray import frozenbitarray

from dslnode.config.settings import Settings
from dslnode.learning.results import AggregatedRound, Progress, TrainedRound
from dslnode.protocol import events
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import ExchangeState
from dslnode.runtime.command_runner import CommandRunner
from dslnode.runtime.node_events import RoundFinished
from dslnode.runtime.tasks import BackgroundTasks
from dslnode.telemetry.logs import library_logger
from dslnode.telemetry.trivial_watch import TrivialWatch
from tests.learning.data_sets import held_out

LAYOUT = MaskLayout((MaskLayer("only", (2, 4)),))
MASK = Mask(LAYOUT, frozenbitarray("10101010", endian="little"))


class Fakes:
    """Collaborators that note what they are asked; ``calls`` has it in order."""

    def __init__(self, *, allowed: bool = True, interrupted: bool = False, **settings: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.posted: list[events.Event] = []
        self.published: list[object] = []
        self.failures: list[BaseException] = []
        self.now = 100.0
        self.tasks = BackgroundTasks(self.failures.append)
        self.learner = SimpleNamespace(
            interrupted=interrupted,
            train=self._async("train", TrainedRound(MASK, Progress(0.5, 0.75, 3, "accuracy"), {}, 0.0, 1.0)),
            aggregate=self._async("aggregate", AggregatedRound({"ab": MASK}, held_out(0.9), 1.0, 0, 1.0)),
        )

        async def until_allowed(_stopped: Callable[[], bool]) -> bool:
            return allowed

        parts: dict[str, Any] = {
            "settings": Settings(rounds=10, evaluate_every=4, **settings),
            "machine": SimpleNamespace(
                awaited=lambda: ["ab"], leads_too_far=lambda: False, expected=lambda: ["ab", "cd"]
            ),
            "learner": self.learner,
            "connections": SimpleNamespace(report_violation=self._note("violation")),
            "sender": SimpleNamespace(execute=self._async("send", None)),
            "accounting": SimpleNamespace(
                scheduler=SimpleNamespace(decide=self._async("decide", (frozenset({"cd"}), frozenset({"ef"})))),
                bookkeeper=SimpleNamespace(book=self._note("book")),
            ),
            "status": SimpleNamespace(
                trained=self._note("status trained"),
                aggregated=self._note("status aggregated"),
                name_of=lambda key: f"board {key}",
                round_line=lambda: {"round": 4, "accuracy": 0.9, "neighbours": 2, "bits_sent": 800},
            ),
            "metrics": SimpleNamespace(
                trained=self._note("metrics trained"),
                aggregated=self._note("metrics aggregated"),
                observe_phase=self._note("took"),
                round=SimpleNamespace(set=self._note("round")),
                rounds_finished=SimpleNamespace(inc=self._note("finished")),
            ),
            "gate": SimpleNamespace(until_allowed=until_allowed),
            "checkpoints": SimpleNamespace(finished=self._async("save", None)),
            "deadline": SimpleNamespace(begin=self._deadline),
            "refusals": SimpleNamespace(add=self._note("refused")),
            "predictions": SimpleNamespace(aggregated=self._async("served", None)),
        }
        self.runner = CommandRunner(
            **cast(Any, parts),
            tasks=self.tasks,
            post=self.posted.append,
            publish=self.published.append,
            finish=self._note("finish"),
            trivial=TrivialWatch(library_logger()),
            clock=lambda: self.now,
        )

    def _note(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, *arguments))

    def _async(self, name: str, result: Any) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, *arguments, *options.values()))
            return result

        return call

    def _deadline(self, now: float, awaited: list[str], expected: list[str], *, patient: bool) -> float:
        self.calls.append(("deadline", now, awaited, expected, patient))
        return 0.0

    async def run(self, command: events.Command) -> None:
        self.runner.run(command)
        await self.tasks.settle(10)
        assert not self.failures

    @property
    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


async def test_training_posts_the_mask_and_whom_the_data_plan_leaves_out() -> None:
    fakes = Fakes()
    await fakes.run(events.Train(3))
    assert fakes.calls[0] == ("train", 3)
    assert fakes.posted == [events.Trained(MASK, frozenset({"cd"}), frozenset({"ef"}))]
    assert {"metrics trained", "status trained"} <= set(fakes.names)


@pytest.mark.parametrize("case", [{"allowed": False}, {"interrupted": True}])
async def test_training_that_may_not_be_or_is_not_wanted_any_more_posts_nothing(case: dict[str, bool]) -> None:
    fakes = Fakes(**case)
    await fakes.run(events.Train(3))
    assert not fakes.posted


@pytest.mark.parametrize(("number", "evaluated"), [(0, True), (1, False), (4, True), (9, True)])
async def test_aggregation_measures_every_so_many_rounds_and_in_the_last(number: int, evaluated: bool) -> None:
    fakes = Fakes()
    neighbours = (events.NeighbourMasks("ab", MASK, (), 0),)
    await fakes.run(events.Aggregate(number, neighbours))
    assert ("aggregate", neighbours, evaluated) in fakes.calls
    [served] = [call for call in fakes.calls if call[0] == "served"]
    assert served[2] is fakes.learner
    assert fakes.posted == [events.Aggregated({"ab": MASK})]


async def test_the_time_of_the_exchange_is_from_the_end_of_training_to_aggregation() -> None:
    fakes = Fakes()
    await fakes.run(events.Train(0))
    fakes.now += 2.5
    await fakes.run(events.Aggregate(0, ()))
    assert ("took", "exchange", 2.5) in fakes.calls


@pytest.mark.parametrize(
    "command",
    [
        events.SendSignMasks(1, ("ab",), None),
        events.OpenExchange("ab"),
        events.Resynchronize("ab", ExchangeState(1, 0, bytes(8))),
        events.ForgetPeers(("ab",)),
    ],
)
async def test_what_travels_is_the_senders_to_send(command: events.Command) -> None:
    fakes = Fakes()
    await fakes.run(command)
    assert fakes.calls == [("send", command)]


async def test_a_deadline_is_posted_when_its_time_is_up_and_not_after_a_stop() -> None:
    fakes = Fakes()
    await fakes.run(events.SetDeadline(5))
    assert fakes.calls == [("deadline", 100.0, ["ab"], ["ab", "cd"], False)]
    async with asyncio.timeout(10):
        while not fakes.posted:
            await asyncio.sleep(0)
    assert fakes.posted == [events.DeadlinePassed(5)]
    await fakes.run(events.SetDeadline(6))
    fakes.runner.stop()
    await asyncio.sleep(0.01)
    assert len(fakes.posted) == 1


async def test_a_finished_round_is_booked_saved_and_published() -> None:
    fakes = Fakes()
    await fakes.run(events.Save(4))
    assert fakes.names == ["book", "round", "finished", "save"]
    assert fakes.published == [RoundFinished(4, 0.9, None, 2, 800)]


async def test_a_neighbour_that_broke_a_rule_is_reported_by_key_and_named() -> None:
    fakes = Fakes()
    await fakes.run(events.Refuse("ab", "too_many", "sent too many"))
    assert fakes.calls == [
        ("violation", "ab", "too_many", "sent too many"),
        ("refused", "board ab", "too_many", "sent too many"),
    ]


async def test_the_end_of_all_rounds_ends_the_node() -> None:
    fakes = Fakes()
    await fakes.run(events.Finish())
    assert fakes.calls == [("finish",)]
