"""Watches the Unix socket between TLS and gRPC: it is in a temporary directory, which anybody may tidy up."""

from __future__ import annotations

import asyncio

from dslnode.telemetry.logs import Logger
from dslnode.transport.server import Server

CHECK_SECONDS = 2.0


async def watch_socket(server: Server, log: Logger) -> None:
    """Check every few seconds for as long as the node lives."""
    watcher = SocketWatcher(server, log)
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        watcher.check()


class SocketWatcher:
    """Checks when told to; has a socket that has vanished made again, and logs each loss once."""

    def __init__(self, server: Server, log: Logger) -> None:
        self._server = server
        self._log = log
        self._last_problem = ""

    def check(self) -> None:
        """Log what is new, and have the socket made again until it is there."""
        problem = self._server.socket_problem()
        if problem:
            self._server.renew_socket()
        if problem and problem != self._last_problem:
            remedy = "the node makes another; keep what tidies that directory away from dslnode-*"
            self._log.error("no new connections", problem=problem, remedy=remedy)
        elif self._last_problem and not problem:
            self._log.info("connections accepted again", why="there is a new Unix socket between TLS and gRPC")
        self._last_problem = problem
