"""The daemon: executes the round machine's commands and feeds it what happens. The composition root.

One event loop owns network, timers and the round machine; one worker thread owns the learner and the disk. Only
immutable values cross between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

from dslnode.config.settings import Settings
from dslnode.errors import DslnodeError, ExitCode
from dslnode.learning.learner import Learner
from dslnode.overlay.mdns import announcement, discover
from dslnode.overlay.peer_manager import PeerManager
from dslnode.overlay.peer_problems import ProblemLog
from dslnode.protocol import events
from dslnode.protocol.round_deadline import RoundDeadline
from dslnode.protocol.round_machine import RoundMachine
from dslnode.runtime.checkpoint import StateDirectory
from dslnode.runtime.checkpointing import CheckpointSchedule, CheckpointWriter
from dslnode.runtime.credential_watch import watch_credentials
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.runtime.mask_sender import MaskSender
from dslnode.runtime.resume import restore, snapshot
from dslnode.runtime.systemd import keep_told
from dslnode.runtime.tasks import BackgroundTasks, Timer
from dslnode.runtime.traffic_accounting import TrafficAccounting
from dslnode.runtime.training_gate import TrainingGate
from dslnode.security.channels import ChannelProvider
from dslnode.telemetry.http_server import serve_http
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.metrics import Metrics
from dslnode.telemetry.node_status import NodeStatus
from dslnode.transport import link_events
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.handshake import ORDERLY, NodeInfo
from dslnode.transport.keepalive import keep_alive
from dslnode.transport.link_factory import LinkFactory
from dslnode.transport.server import Server

GOODBYE_SECONDS, LAST_STEP_SECONDS = 0.5, 0.7


class Node:
    """One running node. ``run`` returns why it ended; ``busy`` then says whether a training step still runs."""

    def __init__(
        self,
        settings: Settings,
        learner: Learner,
        me: NodeInfo,
        state: StateDirectory | None,
        log: Logger,
        *,
        channels: ChannelProvider,
    ) -> None:
        self.settings = settings
        self.busy = False
        self._learner = learner
        self._worker = LearnerThread(learner, settings.nice)
        self._state, self._log, self._channels = state, log, channels
        self._events: asyncio.Queue[events.Event | None] = asyncio.Queue()
        self._exit: ExitCode | None = None
        self._background = BackgroundTasks(self._failed)
        self._alarm, self._deadlines = Timer(), RoundDeadline(settings.round_deadline)
        self._exchange_began = time.monotonic()
        self._machine = RoundMachine(settings.rounds, settings.max_staleness, settings.exchange, settings.max_lead)
        edges = LinkFactory(me, learner.layouts, learner.start, settings.send_threshold)
        self._network = ConnectionManager(me, edges, lambda: self._machine.round, self._on_report)
        self._sender = MaskSender(self._worker, self._network)
        self._notices = ProblemLog(settings.peers, log)
        self._observer = NodeStatus(settings, me, self._machine, self._network, self._notices.standing)
        self._metrics = Metrics(self._observer.neighbours)
        self._metrics.describe(settings.name, settings.run_id, settings.state_dir)
        parts = (self._network, self._observer, self._metrics)
        self._accounting = TrafficAccounting(settings, learner.layouts, *parts, state=state, log=log)
        self._neighbourhood = PeerManager(
            self._network,
            settings.peers,
            settings.max_neighbours,
            channels=channels,
            log=log,
            registry=self._metrics.registry,
        )
        asked = (self._accounting.reply, self._accounting.rows)
        self._server = Server(self._network, *asked, tunnels=channels.tunnels, dialled_back=self._metrics.dialled_back)
        schedule = CheckpointSchedule(settings.checkpoint_every, settings.rounds)
        self._keeper = CheckpointWriter(state, schedule, self._worker, self._facts, log=log, metrics=self._metrics)
        self._rest = TrainingGate(settings, self._metrics, self._accounting.pacer, log, self._post)

    async def run(self) -> ExitCode:
        """Serve, dial and learn until all rounds are done or a signal comes; return the exit code.

        Raises ``ListenError`` or ``StateError`` if the node cannot start.
        """
        self._resume()
        with contextlib.ExitStack() as ending:
            told = (self._metrics.registry, self._accounting.reply, self._server.is_open)
            ending.callback(serve_http(self.settings.metrics, *told))
            async with self._serving():
                while self._exit is None:
                    event = await self._events.get()
                    for command in self._machine.handle(event) if event is not None else ():
                        self._execute(command)
                    self._metrics.phase(self._machine.phase)
        return self._exit

    def stop(self, why: ExitCode) -> None:
        """End the daemon now; the round that is not finished is done anew at the next start."""
        self._exit = why
        self._worker.interrupt()
        self._post(None)

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        port = await self._server.listen(self.settings.listen)
        for number, why in ((signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)):
            asyncio.get_running_loop().add_signal_handler(number, self.stop, why)
        jobs = [self._begin(), keep_told(self._observer.one_line), *self._neighbourhood.jobs()]
        jobs.append(keep_alive(self._network))
        if self.settings.discover:
            mine = announcement(self._network.me, self.settings.listen, port)
            jobs.append(discover(mine, self._neighbourhood.discovered, self._log))
        jobs += [
            self._accounting.keep(),
            watch_credentials(self._channels.tunnels, self._metrics.ticket_ends, self._log),
        ]
        tasks = [asyncio.create_task(job) for job in jobs]
        self._log.info("started", port=port, **self._observer.start_line(self._learner.data))
        try:
            yield
        finally:
            await self._close(tasks)

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        done = self._exit is ExitCode.DONE
        self._worker.interrupt()
        self._alarm.cancel()
        self._neighbourhood.leave()
        self._network.leave("it finished its rounds" if done else "it is stopping")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._network.wait_until_no_links(), GOODBYE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.stop(0.1)
        self.busy = await self._background.settle(None if done else LAST_STEP_SECONDS)
        await self._keeper.close()
        self._worker.close()
        why = ExitCode.INTERNAL if self._exit is None else self._exit
        self._log.info("stopped", why=why.name.lower(), round=self._machine.round)

    async def _begin(self) -> None:
        """Begin the first round when as many neighbours as peers are linked, or the time to wait for them is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.wait_for_peers):
                await self._network.wait_until_linked(len(self.settings.peers))
        self._post(events.Started())

    def _execute(self, command: events.Command) -> None:
        match command:
            case events.Train(number):
                self._background.start(self._train(number))
            case (
                events.SendMask()
                | events.SendSignMasks()
                | events.OpenExchange()
                | events.Resynchronize()
                | events.ForgetPeers()
            ):
                self._background.start(self._sender.execute(command))
            case events.SetDeadline(number):
                awaited, late = self._machine.awaited(), self._machine.leads_too_far()
                seconds = self._deadlines.begin(time.monotonic(), awaited, self._machine.expected(), patient=late)
                self._alarm.set(seconds, lambda: self._post(events.DeadlinePassed(number)))
            case events.Aggregate(number, heard):
                self._background.start(self._aggregate(number, heard))
            case events.Save(number):
                self._finish_round(number)
            case events.Refuse(peer, reason, explanation):
                self._network.report_violation(peer, reason, explanation)
                self._refuse(self._observer.name_of(peer), reason, explanation)
            case events.Finish():
                self._exit = ExitCode.DONE

    async def _train(self, number: int) -> None:
        if not await self._rest.until_allowed(lambda: self._worker.interrupted):
            return
        trained = await self._worker.train(number)
        if self._worker.interrupted:
            return
        self._metrics.trained(trained)
        self._observer.trained(trained)
        self._exchange_began = time.monotonic()
        self._post(events.Trained(trained.mask, *await self._accounting.pacer.decide()))

    async def _aggregate(self, number: int, heard: tuple[events.NeighbourMasks, ...]) -> None:
        self._metrics.took("exchange", time.monotonic() - self._exchange_began)
        evaluate = number + 1 == self.settings.rounds or number % self.settings.evaluate_every == 0
        aggregated = await self._worker.aggregate(number, heard, evaluate=evaluate)
        if self._worker.interrupted:
            return
        self._metrics.aggregated(aggregated)
        self._observer.aggregated(aggregated)
        self._post(events.Aggregated(aggregated.masks))

    def _finish_round(self, number: int) -> None:
        self._accounting.books.book()
        self._metrics.round.set(number)
        self._metrics.rounds_finished.inc()
        self._background.start(self._keeper.finished(number, self._observer.round_line()))

    def _facts(self, number: int) -> dict[str, Any]:
        return snapshot(number, self.settings, self._learner.fingerprint, self._network, self._neighbourhood.known())

    def _on_report(self, report: link_events.LinkEvent) -> None:
        self._neighbourhood.notice(report)
        match report:
            case link_events.LinkUp(neighbour, their_round, address):
                self._notices.solved(address)
                self._accounting.met(neighbour, address)
                self._log.info("neighbour up", neighbour=neighbour.name, address=address, its_round=their_round)
                self._post(events.PeerUp(neighbour.key, their_round))
            case link_events.LinkDown(neighbour, why):
                self._log.info("neighbour down", neighbour=neighbour.name, why=why)
                self._post(events.PeerDown(neighbour.key))
            case link_events.MaskArrived(neighbour, message):
                self._deadlines.message_arrived(neighbour.key, time.monotonic())
                self._post(events.Received(neighbour.key, message))
            case link_events.ExchangeStateArrived(neighbour, greeting):
                self._post(events.ExchangeStateReceived(neighbour.key, greeting))
            case link_events.IntervalRequested(neighbour, pace):
                self._accounting.pacer.asked(neighbour.key, pace)
            case link_events.PeerRefused(address, reason, explanation) if reason not in ORDERLY:
                self._refuse(address, reason, explanation)
            case link_events.DialFailed(address, why):
                self._notices.not_reached(address, why)

    def _refuse(self, who: str, reason: str, explanation: str) -> None:
        self._metrics.refused.labels(reason).inc()
        self._notices.refused(who, reason, explanation)

    def _resume(self) -> None:
        facts = restore(self._state, self.settings, self._learner, self._network, self._log)
        self._accounting.books.open()
        if facts is None:
            return
        self._neighbourhood.recall(facts)
        self._machine.round = facts["round"]
        self._metrics.round.set(self._machine.round)

    def _post(self, event: events.Event | None) -> None:
        self._events.put_nowait(event)

    def _failed(self, error: BaseException) -> None:
        code = error.exit_code if isinstance(error, DslnodeError) else ExitCode.INTERNAL
        self._log.error("internal error" if code is ExitCode.INTERNAL else "cannot go on", exc_info=error)
        self.stop(code)
