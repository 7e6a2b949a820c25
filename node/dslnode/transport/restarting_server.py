"""A gRPC server that is there again when gRPC's own loop has failed.

A call whose path is no UTF-8 ends the loop in which grpc.aio takes calls (``_server_main_loop`` decodes it outside of
any handler), and with it the listening end of the node, for good. Calls that are open go on. So the loop is watched,
and another server takes its place at once; callers see a refused connection for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

import grpc.aio

MAIN_LOOP = "_server_main_loop"
PAUSE_SECONDS = 0.1
"""Between attempts to have the port again, which the failed server gives back a moment later."""


class GenericServices:
    """Where generated code puts services: on the server, but not as registered methods.

    gRPC waits for a call of each registered method; when its loop fails, it frees what these waits are told by, and the
    process dies of it a moment later. Without them there is one wait, which is over when the loop fails.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Give the server handlers, which look a method up when it is called."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Register nothing: the same methods have been given as generic handlers."""


class RestartingServer:
    """``make`` returns a server with its services; ``bind`` gives it a port and returns that, 0 if it cannot be had."""

    def __init__(self, make: Callable[[], grpc.aio.Server], bind: Callable[[grpc.aio.Server], int]) -> None:
        self._make = make
        self._bind = bind
        self._servers: list[grpc.aio.Server] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def start(self) -> int:
        """Serve; return the port, 0 if it cannot be had."""
        server = self._make()
        port = self._try(server)
        if port:
            await self._run(server)
        return port

    async def stop(self, grace: float) -> None:
        """Refuse new calls and end the open ones within ``grace`` seconds."""
        self._stopping = True
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await asyncio.gather(*(server.stop(grace) for server in self._servers), return_exceptions=True)

    def is_open(self) -> bool:
        """Return whether a server takes calls now."""
        return bool(self._servers) and not self._stopping

    async def _run(self, server: grpc.aio.Server) -> None:
        others = asyncio.all_tasks()
        await server.start()
        self._servers.append(server)
        for task in asyncio.all_tasks() - others:
            if MAIN_LOOP in getattr(task.get_coro(), "__qualname__", ""):
                task.add_done_callback(lambda ended: self._ended(ended, server))

    def _ended(self, loop: asyncio.Task[None], server: grpc.aio.Server) -> None:
        if not self._stopping and not loop.cancelled() and loop.exception() is not None:
            self._do(self._take_its_place())
            self._servers.remove(server)

    def _do(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _take_its_place(self) -> None:
        while True:
            server = self._make()
            if self._try(server):
                return await self._run(server)
            await asyncio.sleep(PAUSE_SECONDS)

    def _try(self, server: grpc.aio.Server) -> int:
        try:
            return self._bind(server)
        except (RuntimeError, OSError):
            return 0
