"""The daemon: executes the round machine's commands and feeds it what happens. The composition root.

One event loop owns network, timers and the round machine; one worker thread owns the learner and the disk. Only
immutable values cross between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from dslnode import rounds
from dslnode.checkpoint import Snapshot, StateDirectory
from dslnode.codec import CodedMask, encode
from dslnode.config import Settings
from dslnode.errors import ExitCode, StateError
from dslnode.learner import Learner
from dslnode.logs import Logger
from dslnode.mask import Mask, MaskMessage
from dslnode.metrics import Metrics
from dslnode.resume import check, remember, restore_traffic
from dslnode.rounds import HeldMask, RoundMachine
from dslnode.status import Observer
from dslnode.training import Progress
from dslnode.transport import network as net
from dslnode.transport.dialler import keep_dialling
from dslnode.transport.handshake import INCARNATION_BYTES, Introduction, ModelFacts
from dslnode.transport.server import Server

GOODBYE_SECONDS = 0.5
LAST_STEP_SECONDS = 0.7
MAX_REMEMBERED = 1_000
Result = TypeVar("Result")


@dataclass(frozen=True)
class TrainedRound:
    """What the worker thread hands back after local training."""

    mask: Mask
    progress: Progress
    held_out: float | None
    seconds: float


class Daemon:
    """One running node. ``run`` returns why it ended; ``busy`` then says whether a training step still runs."""

    def __init__(
        self,
        settings: Settings,
        learner: Learner,
        node_id: bytes,
        state: StateDirectory | None,
        log: Logger,
    ) -> None:
        self.settings = settings
        self._learner = learner
        self._state = state
        self._log = log
        self.machine = RoundMachine(limit=settings.rounds, max_staleness=settings.max_staleness)
        self._events: asyncio.Queue[rounds.Event | None] = asyncio.Queue()
        self._exit: ExitCode | None = None
        self.busy = False
        self._stopping = threading.Event()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="learner")
        self._jobs: set[asyncio.Task[None]] = set()
        self._deadline: asyncio.TimerHandle | None = None
        self._coded: tuple[MaskMessage, CodedMask] | None = None
        self._problems: dict[str, str] = {}
        self._said: dict[str, str] = {}
        me = self._introduction(node_id)
        self.network = net.Network(me, learner.layout, lambda: self.machine.round, self._on_report)
        self.observer = Observer(settings, me, self.machine, self.network, self._problems)
        self.metrics = Metrics(self.observer.neighbours)
        self.metrics.describe(settings.name, settings.run_id)
        self._phase_began = time.monotonic()

    async def run(self) -> ExitCode:
        """Serve, dial and learn until all rounds are done or a signal comes; return the exit code.

        Raises ``ListenError`` or ``StateError`` if the node cannot start.
        """
        self._resume()
        async with self._serving():
            while self._exit is None:
                event = await self._events.get()
                for command in self.machine.handle(event) if event is not None else ():
                    self._execute(command)
                self.metrics.phase(self.machine.phase)
        return self._exit

    def stop(self, why: ExitCode) -> None:
        """End the daemon after what it is doing now; the round that is not finished is done anew at the next start."""
        self._exit = why
        self._stopping.set()
        self._post(None)

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        server = Server(self.network, self.observer.reply)
        port = await server.listen(self.settings.listen)
        stop_metrics = self._serve_metrics()
        loop = asyncio.get_running_loop()
        for number, why in ((signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)):
            loop.add_signal_handler(number, self.stop, why)
        jitter = random.Random(self.network.me.incarnation)
        tasks = [asyncio.create_task(keep_dialling(self.network, peer, jitter)) for peer in self.settings.peers]
        tasks.append(asyncio.create_task(self._begin()))
        self._log_start(port)
        try:
            yield
        finally:
            await self._close(server, tasks)
            stop_metrics()

    async def _close(self, server: Server, tasks: list[asyncio.Task[None]]) -> None:
        self._stopping.set()
        if self._deadline is not None:
            self._deadline.cancel()
        self.network.leave("it finished its rounds" if self._exit is ExitCode.DONE else "it is stopping")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.network.wait_until_alone()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.stop(0.1)
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=None if self._exit is ExitCode.DONE else LAST_STEP_SECONDS)
        self.busy = bool(self._jobs)
        self._worker.shutdown(wait=False)
        self._log.info("stopped", why=(self._exit or ExitCode.INTERNAL).name.lower(), round=self.machine.round)

    async def _begin(self) -> None:
        """Begin the first round when as many neighbours as peers are linked, or the time to wait for them is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.wait_for_peers):
                await self.network.wait_until_linked(len(self.settings.peers))
        self._post(rounds.Started())

    def _execute(self, command: rounds.Command) -> None:
        match command:
            case rounds.Train(number):
                self._in_background(self._train(number))
            case rounds.Send(peer, message):
                self._send(peer, message)
            case rounds.SetDeadline(number):
                self._set_deadline(number)
            case rounds.Aggregate(number, masks):
                self._in_background(self._aggregate(number, masks))
            case rounds.Save(number):
                self._finish_round(number)
            case rounds.Refuse(peer, reason, explanation):
                self._on_refusal(self.observer.name_of(peer), reason, explanation)
            case rounds.Finish():
                self._exit = ExitCode.DONE

    async def _train(self, number: int) -> None:
        before = self._learner.mask
        trained = await self._on_worker(lambda: self._train_now(number))
        self._clock("train", trained.seconds)
        if self._stopping.is_set():
            return
        self.observer.trained(trained.mask, trained.progress, trained.held_out)
        flipped = trained.mask.distance(before) / max(1, before.layout.size)
        self.observer.flipped = flipped
        self._publish(trained, flipped)
        self._phase_began = time.monotonic()
        self._post(rounds.Trained(trained.mask))

    def _train_now(self, number: int) -> TrainedRound:
        """Runs on the worker thread."""
        began = time.monotonic()
        progress = self._learner.train(number, self._stopping.is_set)
        last = self.settings.rounds and number + 1 == self.settings.rounds
        due = last or number % self.settings.evaluate_every == 0
        held_out = self._learner.accuracy(self._stopping.is_set) if due else None
        return TrainedRound(self._learner.mask, progress, held_out, time.monotonic() - began)

    async def _aggregate(self, number: int, masks: tuple[HeldMask, ...]) -> None:
        self._clock("exchange", time.monotonic() - self._phase_began)
        began = time.monotonic()
        weighted = [(held.mask, 0.5**held.staleness) for held in masks]
        await self._on_worker(lambda: self._learner.aggregate(number, weighted))
        self._clock("aggregate", time.monotonic() - began)
        self.observer.masks_used = len(masks)
        self._post(rounds.Aggregated())

    def _finish_round(self, number: int) -> None:
        self.network.measure()
        self.metrics.round.set(number)
        self.metrics.rounds_finished.inc()
        line = self.observer.round_line()
        if self._state is None:
            self._log.info("round", **line)
        else:
            self._in_background(self._save(self._state, number, line))

    async def _save(self, state: StateDirectory, number: int, line: dict[str, Any]) -> None:
        """Make the round durable, and only then say that it is finished."""
        facts = remember(number, self.settings, self._learner.fingerprint, self.network)
        began = time.monotonic()
        try:
            written = await self._on_worker(lambda: state.save(Snapshot(facts, self._learner.state())))
        except StateError as error:
            self._log.error("state not saved", round=number, problem=str(error))
            return
        self._clock("save", time.monotonic() - began)
        self.metrics.checkpoint_bytes.inc(written)
        self._log.info("round", **line)

    def _send(self, peer: str, message: MaskMessage) -> None:
        if self._coded is None or self._coded[0] is not message:
            self._coded = (message, encode(message))
        self.network.send(peer, self._coded[1])

    def _set_deadline(self, number: int) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self.settings.round_deadline, self._post, rounds.DeadlinePassed(number))

    def _on_report(self, report: net.Report) -> None:
        match report:
            case net.LinkUp(neighbour, their_round, address):
                self._problems.pop(address, None)
                self._said.pop(address, None)
                self.observer.met(neighbour, address)
                self._log.info("neighbour up", neighbour=neighbour.name, address=address, its_round=their_round)
                self._post(rounds.PeerUp(neighbour.key, their_round))
            case net.LinkDown(neighbour, why):
                self._log.info("neighbour down", neighbour=neighbour.name, why=why)
                self._post(rounds.PeerDown(neighbour.key))
            case net.MaskArrived(neighbour, message):
                self._post(rounds.Received(neighbour.key, message))
            case net.PeerRefused(address, reason, explanation):
                self._on_refusal(address, reason, explanation)
            case net.DialFailed(address, why):
                self._on_problem(address, why)

    def _on_refusal(self, who: str, reason: str, explanation: str) -> None:
        self.metrics.refused.labels(reason).inc()
        self._on_problem(who, explanation, event="neighbour refused", reason=reason)

    def _on_problem(self, who: str, why: str, event: str = "neighbour not reached", **details: str) -> None:
        """Log a problem once, not at every try; a bounded memory of what was said last."""
        if who in self.settings.peers:
            self._problems[who] = why
        host = who if who in self.settings.peers else who.rpartition(":")[0]
        if self._said.get(host) != why:
            if len(self._said) >= MAX_REMEMBERED:
                self._said.clear()
            self._said[host] = why
            self._log.warning(event, neighbour=who, why=why, **details)

    def _publish(self, trained: TrainedRound, flipped: float) -> None:
        metrics = self.metrics
        metrics.loss.set(trained.progress.loss)
        metrics.accuracy.labels("train").set(trained.progress.accuracy)
        if trained.held_out is not None:
            metrics.accuracy.labels("held_out").set(trained.held_out)
        metrics.mask(trained.mask.layer_densities(), flipped)

    def _resume(self) -> None:
        snapshot = None if self._state is None else self._state.load()
        if snapshot is None:
            return
        check(snapshot.facts, self.settings, self._learner.fingerprint)
        self._learner.restore(snapshot.arrays)
        restore_traffic(snapshot.facts, self.network)
        self.machine.round = snapshot.facts["round"]
        self.metrics.round.set(self.machine.round)
        self._log.info("resumed", round=self.machine.round)

    def _serve_metrics(self) -> Callable[[], None]:
        address = self.settings.metrics
        return (lambda: None) if address == "off" else self.metrics.serve(address)

    def _log_start(self, port: int) -> None:
        layout = self._learner.layout
        self._log.info(
            "started",
            name=self.settings.name,
            port=port,
            peers=len(self.settings.peers),
            weights=layout.size,
            train=len(self._learner.data.train),
            held_out=0 if self._learner.data.held_out is None else len(self._learner.data.held_out),
        )
        if self._state is None:
            self._log.warning("nothing is kept", why="no --state-dir: a restart begins anew")

    def _introduction(self, node_id: bytes) -> Introduction:
        layout = self._learner.layout
        facts = ModelFacts(
            self._learner.fingerprint, layout.digest, len(layout.layers), layout.size, self.settings.seed
        )
        return Introduction(
            self.settings.run_id,
            node_id,
            secrets.token_bytes(INCARNATION_BYTES),
            self.settings.name,
            self.settings.advertise,
            facts,
        )

    def _clock(self, phase: str, seconds: float) -> None:
        self.metrics.phase_seconds.labels(phase).observe(seconds)

    def _post(self, event: rounds.Event | None) -> None:
        self._events.put_nowait(event)

    async def _on_worker(self, job: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, job)

    def _in_background(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._job_done)

    def _job_done(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log.error("internal error", exc_info=error)
            self.stop(ExitCode.INTERNAL)
