"""A running node, for a program that embeds it: started and stopped as a context, and telling what happens as events.

One event loop owns links, timers and the round machine; one worker thread owns the learner and the disk. Only
immutable values cross between the two. Nothing global is changed: no logging, no signal handlers, no threads or seeds
of torch.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from dslnode.config.settings import Settings
from dslnode.errors import DslnodeError, ExitCode
from dslnode.overlay.mdns import announcement, discover
from dslnode.protocol import events
from dslnode.runtime.composition import Hooks, NodeParts, build_node
from dslnode.runtime.credential_watch import watch_credentials
from dslnode.runtime.node_events import NodeEvent
from dslnode.runtime.prepare import Prepared, prepare
from dslnode.runtime.resume import restore
from dslnode.runtime.socket_watch import watch_socket
from dslnode.telemetry.http_server import serve_http
from dslnode.telemetry.logs import Logger, library_logger
from dslnode.telemetry.status_json import as_dict
from dslnode.transport.keepalive import keep_alive

Result = TypeVar("Result")
GOODBYE_SECONDS = 0.5
"""How long neighbours have to take in that this node leaves."""
LAST_STEP_SECONDS = 0.7
"""How long a training step that still runs is waited for at an early stop."""
SERVER_GRACE_SECONDS = 0.1
MAX_WAITING_EVENTS = 1_000
"""Events that may wait for one reader; a slower one loses the oldest."""


class Node:
    """One node: ``async with Node(settings) as node`` starts it, and stops it at the end.

    Raises the ``DslnodeError`` that names the fault where the context begins. Without a saved state it begins with
    the model in the file ``begin_from``, if one is given. ``busy`` says, once it has ended,
    whether a training step still runs in its thread, unwanted.
    """

    def __init__(self, settings: Settings, *, log: Logger | None = None, begin_from: Path | None = None) -> None:
        self.settings = settings
        self._begin_from = begin_from
        self.busy = False
        self._log = library_logger() if log is None else log
        self._mailbox: asyncio.Queue[events.Event | None] = asyncio.Queue()
        self._readers: list[asyncio.Queue[NodeEvent | None]] = []
        self._exit: ExitCode | None = None
        self._resources = contextlib.ExitStack()
        self._parts: NodeParts | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Prepare, listen, dial and learn; return once the node listens, or has been told to stop before."""
        try:
            prepared = await self._prepare()
        except BaseException:
            self._end()
            raise
        if prepared is not None:
            await self.start(prepared)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, say goodbye to neighbours, and write the last finished round."""
        if self._exit is None:
            self.stop()
        await self.wait()

    @property
    def parts(self) -> NodeParts:
        """The composed parts; ``RuntimeError`` before the node has started."""
        if self._parts is None:
            raise RuntimeError("the node has not started; use it in: async with dslnode.Node(settings) as node")
        return self._parts

    def stop(self, why: ExitCode = ExitCode.INTERRUPTED) -> None:
        """End the node now; the round that is not finished is done again at the next start."""
        self._exit = why if self._exit is None else self._exit
        self._stopped.set()
        if self._parts is not None:
            self._parts.core.learner_thread.interrupt()
        self._mailbox.put_nowait(None)

    async def wait(self) -> ExitCode:
        """Return why the node ended, once it has. Raises what made it fail at its start."""
        if self._task is not None:
            await asyncio.shield(self._task)
        assert self._exit is not None, "nothing ends a node without a reason"
        return self._exit

    async def events(self) -> AsyncIterator[NodeEvent]:
        """Yield what happens from now on: ``RoundFinished``, ``PeerUp``, ``PeerDown``; ends with the node."""
        if self._task is None or self._task.done():
            return
        waiting: asyncio.Queue[NodeEvent | None] = asyncio.Queue(MAX_WAITING_EVENTS)
        self._readers.append(waiting)
        try:
            while (event := await waiting.get()) is not None:
                yield event
        finally:
            if waiting in self._readers:
                self._readers.remove(waiting)

    def status(self) -> dict[str, Any]:
        """Return what ``dslnode status --json`` prints."""
        return as_dict(self.parts.core.accounting.reply())

    def summary(self) -> str:
        """Return round, accuracy and number of neighbours in one line."""
        return self.parts.core.status.summary()

    async def start(self, prepared: Prepared) -> None:
        """Run a node that is prepared; return once it listens. Raises ``ListenError`` or ``StateError``."""
        hooks = Hooks(
            post=self._mailbox.put_nowait, publish=self._publish, finish=self._all_rounds_done, failed=self._failed
        )
        self._parts = build_node(prepared, hooks=hooks, log=self._log)
        self._task = asyncio.create_task(self._run(self._parts))
        starting = asyncio.create_task(self._started.wait())
        await asyncio.wait((starting, self._task), return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        if self._task.done():
            await self._task

    async def _prepare(self) -> Prepared | None:
        """Prepare in a thread, since data and model may take long; None if the node is told to stop meanwhile."""
        preparing = asyncio.create_task(
            asyncio.to_thread(
                prepare, self.settings, resources=self._resources, log=self._log, begin_from=self._begin_from
            )
        )
        stopping = asyncio.create_task(self._stopped.wait())
        await asyncio.wait((preparing, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not preparing.done():
            self.busy = True
            preparing.add_done_callback(self._discard)
            return None
        prepared = preparing.result()
        if self._exit is None:
            return prepared
        self._end()
        return None

    def _discard(self, preparing: asyncio.Task[Prepared]) -> None:
        """Give back what was prepared too late; what went wrong is of no interest any more."""
        if not preparing.cancelled():
            preparing.exception()
        self._end()

    async def _run(self, parts: NodeParts) -> None:
        try:
            has_resumed = self._resume(parts)
            async with contextlib.AsyncExitStack() as stack:
                core = parts.core
                pages = serve_http(
                    self.settings.metrics,
                    core.metrics.registry,
                    core.accounting.reply,
                    parts.server.unready,
                    serve="" if core.predictions is None else core.predictions.url,
                    token=core.prepared.metrics_token,
                )
                stop_pages = await self._unless_stopped(pages)
                if stop_pages is None:
                    return
                stack.callback(stop_pages)
                if core.predictions is not None:
                    stack.push_async_callback(core.predictions.stop)
                    await self._unless_stopped(core.predictions.start(self.settings.state_dir if has_resumed else None))
                port = await self._unless_stopped(parts.server.listen(self.settings.listen))
                if port is None:
                    return
                stack.push_async_callback(self._close, parts)
                core.log.info("started", port=port, **core.status.start_line(core.prepared.learner.data))
                self._started.set()
                await self._serve(parts, port)
        finally:
            self._exit = ExitCode.INTERNAL if self._exit is None else self._exit
            self._end()

    async def _unless_stopped(self, work: Coroutine[None, None, Result]) -> Result | None:
        """Return the result; None if the node is told to stop meanwhile: names may take seconds to look up."""
        working, stopping = asyncio.create_task(work), asyncio.create_task(self._stopped.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return None

    async def _serve(self, parts: NodeParts, port: int) -> None:
        """Feed the round machine until the node is told to end; a background job that fails ends it, too."""
        try:
            async with asyncio.TaskGroup() as group:
                jobs = [group.create_task(job) for job in self._jobs(parts, port)]
                try:
                    await self._handle_events(parts)
                finally:
                    await self._say_goodbye(parts)
                    for job in jobs:
                        job.cancel()
        except* Exception as failures:
            for failure in failures.exceptions:
                self._failed(failure)

    def _jobs(self, parts: NodeParts, port: int) -> Sequence[Coroutine[None, None, None]]:
        """Return what runs beside the rounds for as long as the node does."""
        core = parts.core
        tunnels = core.prepared.channels.tunnels
        jobs = [self._begin(parts), *parts.peers.jobs(), keep_alive(core.connections), core.accounting.run()]
        jobs.append(watch_credentials(tunnels, core.metrics.set_ticket_expiry, core.log))
        jobs.append(watch_socket(parts.server, core.log))
        if self.settings.discover:
            mine = announcement(core.connections.me, self.settings.listen, port)
            jobs.append(discover(mine, parts.peers.on_discovered, core.log))
        return jobs

    async def _begin(self, parts: NodeParts) -> None:
        """Begin the first round when as many neighbours as peers are linked, or the time to wait for them is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.wait_for_peers):
                await parts.core.connections.wait_until_linked(len(self.settings.peers))
        self._mailbox.put_nowait(events.Started())

    async def _handle_events(self, parts: NodeParts) -> None:
        machine, metrics = parts.core.machine, parts.core.metrics
        while self._exit is None:
            event = await self._mailbox.get()
            for command in machine.handle(event) if event is not None else ():
                parts.commands.run(command)
            metrics.set_phase(machine.phase)

    async def _say_goodbye(self, parts: NodeParts) -> None:
        """Tell neighbours that this node leaves, and give them a moment to take it in."""
        connections, done = parts.core.connections, self._exit is ExitCode.DONE
        parts.core.learner_thread.interrupt()
        parts.commands.stop()
        parts.peers.leave()
        connections.leave("it finished its rounds" if done else "it is stopping")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connections.wait_until_no_links(), GOODBYE_SECONDS)

    async def _close(self, parts: NodeParts) -> None:
        core, done = parts.core, self._exit is ExitCode.DONE
        core.learner_thread.interrupt()
        parts.commands.stop()
        await parts.server.stop(SERVER_GRACE_SECONDS)
        self.busy = await parts.tasks.settle(None if done else LAST_STEP_SECONDS)
        await parts.checkpoints.close()
        core.learner_thread.close()
        why = ExitCode.INTERNAL if self._exit is None else self._exit
        core.log.info("stopped", why=why.name.lower(), round=core.machine.round)

    def _resume(self, parts: NodeParts) -> bool:
        """Go on where the state ends; return whether there was one."""
        core = parts.core
        prepared = core.prepared
        saved = restore(
            prepared.state, self.settings, prepared.learner, core.connections, core.log, alone=prepared.alone
        )
        core.accounting.open()
        if saved is not None:
            parts.peers.restore(saved.model_dump())
            core.machine.round = saved.round
            core.metrics.round.set(saved.round)
        return saved is not None

    def _all_rounds_done(self) -> None:
        self._exit = ExitCode.DONE if self._exit is None else self._exit

    def _failed(self, error: BaseException) -> None:
        """End the node first, and report after: a report may fail, as when memory is short."""
        code = error.exit_code if isinstance(error, DslnodeError) else ExitCode.INTERNAL
        self.stop(code)
        with contextlib.suppress(Exception):
            if code is ExitCode.INTERNAL:
                self._log.error("internal error", exc_info=error)
            else:
                self._log.error("cannot go on", problem=str(error))

    def _publish(self, event: NodeEvent) -> None:
        for waiting in self._readers:
            if waiting.full():
                waiting.get_nowait()
            waiting.put_nowait(event)

    def _end(self) -> None:
        """Give back what was taken at the start, and let every reader of events end."""
        self._resources.close()
        for waiting in self._readers:
            if waiting.full():
                waiting.get_nowait()
            waiting.put_nowait(None)
