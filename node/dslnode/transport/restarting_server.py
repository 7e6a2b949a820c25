"""A gRPC server that is replaced when gRPC's own main loop fails.

A call whose path is not UTF-8 ends the task in which grpc.aio accepts calls: it decodes the path outside any handler.
The node would then accept no call ever again, while open calls go on. So that task is watched, and when it fails
another server takes over the port. Callers see a refused connection for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

import grpc.aio

from dslnode.errors import DslnodeError

MAIN_LOOP = "_server_main_loop"
"""Name of the coroutine in which grpc.aio accepts calls. It is private, so its absence is an error."""
PAUSE_SECONDS = 0.1
"""Seconds between attempts to bind the port, which the failed server gives back a moment later."""


class GenericServices:
    """Takes the services from generated code as generic handlers only, not as registered methods.

    gRPC waits for a call of each registered method. When its main loop fails it frees what these waits use, and the
    process crashes a moment later. With generic handlers there is one wait, which ends with the loop.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Give the server handlers that look a method up when it is called."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Do nothing: the same methods were given as generic handlers."""


class RestartingServer:
    """``make`` returns a server with its services. ``bind`` gives it a port and returns that; 0 if it is taken."""

    def __init__(self, make: Callable[[], grpc.aio.Server], bind: Callable[[grpc.aio.Server], int]) -> None:
        self._make = make
        self._bind = bind
        self._servers: list[grpc.aio.Server] = []
        self._restarts: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self) -> int:
        """Serve; return the port, 0 if it is taken.

        Raises ``DslnodeError`` if this version of grpcio has no main loop to watch.
        """
        server = self._make()
        port = self._try_to_bind(server)
        if port:
            await self._run(server)
        return port

    async def stop(self, grace: float) -> None:
        """Refuse new calls and end the open ones within ``grace`` seconds."""
        self._stopping = True
        for restart in self._restarts:
            restart.cancel()
        await asyncio.gather(*self._restarts, return_exceptions=True)
        await asyncio.gather(*(server.stop(grace) for server in self._servers), return_exceptions=True)

    def is_open(self) -> bool:
        """Return whether a server takes calls now."""
        return bool(self._servers) and not self._stopping

    def renew(self) -> None:
        """Have another server take new calls, unless one is about to; the open calls of the former ones go on."""
        if not self._stopping and not self._restarts:
            self._start_restart(self._replace())

    async def _run(self, server: grpc.aio.Server) -> None:
        before = asyncio.all_tasks()
        await server.start()
        main_loops = [task for task in asyncio.all_tasks() - before if _is_main_loop(task)]
        if not main_loops:
            await server.stop(None)
            raise DslnodeError(
                f"grpcio {grpc.__version__} has no task named {MAIN_LOOP}, so the node could not tell when it stops "
                "accepting calls; install the grpcio of constraints.txt, and report this"
            )
        self._servers.append(server)
        for task in main_loops:
            task.add_done_callback(lambda ended: self._main_loop_ended(ended, server))

    def _main_loop_ended(self, task: asyncio.Task[None], server: grpc.aio.Server) -> None:
        if not self._stopping and not task.cancelled() and task.exception() is not None:
            self._start_restart(self._replace())
            self._servers.remove(server)

    def _start_restart(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def _replace(self) -> None:
        while True:
            server = self._make()
            if self._try_to_bind(server):
                return await self._run(server)
            await asyncio.sleep(PAUSE_SECONDS)

    def _try_to_bind(self, server: grpc.aio.Server) -> int:
        try:
            return self._bind(server)
        except (RuntimeError, OSError):
            return 0


def _is_main_loop(task: asyncio.Task[None]) -> bool:
    return MAIN_LOOP in getattr(task.get_coro(), "__qualname__", "")
