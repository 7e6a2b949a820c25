"""Carries out the commands of the round machine: trains, sends, waits, aggregates, saves."""

from __future__ import annotations

import time
from collections.abc import Callable

from dslnode.config.settings import Settings
from dslnode.protocol import events
from dslnode.protocol.round_deadline import RoundDeadline
from dslnode.protocol.round_machine import RoundMachine
from dslnode.runtime.checkpointing import CheckpointWriter
from dslnode.runtime.event_bridge import Refusals
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.runtime.mask_sender import MaskSender
from dslnode.runtime.node_events import NodeEvent, RoundFinished
from dslnode.runtime.predictions import NodePredictions
from dslnode.runtime.tasks import BackgroundTasks, Timer
from dslnode.runtime.traffic_accounting import TrafficAccounting
from dslnode.runtime.training_gate import TrainingGate
from dslnode.telemetry.metrics import Metrics
from dslnode.telemetry.node_status import NodeStatus
from dslnode.telemetry.trivial_watch import TrivialWatch
from dslnode.transport.connection_manager import ConnectionManager


class CommandRunner:
    """Starts what a command asks for; what comes of it is posted as an event. ``finish`` ends the node."""

    def __init__(
        self,
        *,
        settings: Settings,
        machine: RoundMachine,
        learner: LearnerThread,
        connections: ConnectionManager,
        sender: MaskSender,
        accounting: TrafficAccounting,
        status: NodeStatus,
        metrics: Metrics,
        gate: TrainingGate,
        checkpoints: CheckpointWriter,
        deadline: RoundDeadline,
        refusals: Refusals,
        tasks: BackgroundTasks,
        post: Callable[[events.Event], None],
        publish: Callable[[NodeEvent], None],
        finish: Callable[[], None],
        trivial: TrivialWatch,
        predictions: NodePredictions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._learner = learner
        self._connections = connections
        self._sender = sender
        self._accounting = accounting
        self._status = status
        self._metrics = metrics
        self._gate = gate
        self._checkpoints = checkpoints
        self._deadline = deadline
        self._refusals = refusals
        self._tasks = tasks
        self._post = post
        self._publish = publish
        self._finish = finish
        self._trivial = trivial
        self._predictions = predictions
        self._clock = clock
        self._timer = Timer()
        self._exchange_began = clock()
        self._is_best = False

    def run(self, command: events.Command) -> None:
        """Start what one command asks for, on the event loop's thread."""
        match command:
            case events.Train(number):
                self._tasks.start(self._train(number))
            case (
                events.SendMask()
                | events.SendSignMasks()
                | events.OpenExchange()
                | events.Resynchronize()
                | events.ForgetPeers()
            ):
                self._tasks.start(self._sender.execute(command))
            case events.SetDeadline(number):
                self._set_deadline(number)
            case events.Aggregate(number, neighbours):
                self._tasks.start(self._aggregate(number, neighbours))
            case events.Save(number):
                self._finish_round(number)
            case events.Refuse(peer, reason, explanation):
                self._connections.report_violation(peer, reason, explanation)
                self._refusals.add(self._status.name_of(peer), reason, explanation)
            case events.Finish():
                self._finish()

    def stop(self) -> None:
        """Wait for no deadline any more."""
        self._timer.cancel()

    def _set_deadline(self, number: int) -> None:
        awaited, patient = self._machine.awaited(), self._machine.leads_too_far()
        seconds = self._deadline.begin(self._clock(), awaited, self._machine.expected(), patient=patient)
        self._timer.set(seconds, lambda: self._post(events.DeadlinePassed(number)))

    async def _train(self, number: int) -> None:
        if not await self._gate.until_allowed(lambda: self._learner.interrupted):
            return
        trained = await self._learner.train(number)
        if self._learner.interrupted:
            return
        self._metrics.trained(trained)
        self._status.trained(trained)
        self._exchange_began = self._clock()
        skipped, paced = await self._accounting.scheduler.decide()
        self._post(events.Trained(trained.mask, skipped, paced))

    async def _aggregate(self, number: int, neighbours: tuple[events.NeighbourMasks, ...]) -> None:
        self._metrics.observe_phase("exchange", self._clock() - self._exchange_began)
        evaluate = number + 1 == self._settings.rounds or number % self._settings.evaluate_every == 0
        aggregated = await self._learner.aggregate(neighbours, evaluate=evaluate)
        if self._learner.interrupted:
            return
        self._is_best = aggregated.best is not None and aggregated.best.is_new
        self._metrics.aggregated(aggregated)
        self._status.aggregated(aggregated)
        if aggregated.held_out is not None:
            self._trivial.measured(aggregated.held_out)
        if self._predictions is not None:
            await self._predictions.aggregated(aggregated, self._learner)
        self._post(events.Aggregated(aggregated.masks))

    def _finish_round(self, number: int) -> None:
        self._accounting.bookkeeper.book()
        self._metrics.round.set(number)
        self._metrics.rounds_finished.inc()
        line = self._status.round_line()
        self._tasks.start(self._checkpoints.finished(number, line, is_best=self._is_best))
        self._publish(
            RoundFinished(
                round=number,
                accuracy=line.get("accuracy"),
                score=line.get("score"),
                score_name=line.get("score_name", ""),
                loss=line.get("loss"),
                neighbours=line["neighbours"],
                payload_bits_sent=line["bits_sent"],
            )
        )
