"""Opens a TCP connection back to whoever asks for it, so that a node can learn whether others reach it.

As AutoNAT of libp2p does, the address dialled is the one that the question came from; only the port is the caller's
choice. Nothing is sent on the connection. Attempts are made one at a time, are short, and few for each caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from dslnode.security.handshake_limiter import make_room, network_of
from dslnode.v1 import node_pb2 as pb

ATTEMPT_SECONDS = 3.0
BETWEEN_SECONDS = 2.0
"""Between two attempts for one caller."""
LAST_PORT = 65_535


@dataclass(frozen=True)
class Declined:
    """The question is not answered now, or not at all; ``code`` is what gRPC calls that."""

    code: grpc.StatusCode
    why: str


class AttemptLimiter:
    """Whose turn it is: one attempt at a time, and one in ``BETWEEN_SECONDS`` for each host. Times are handed in."""

    def __init__(self) -> None:
        self._busy = False
        self._last: dict[str, float] = {}

    def refusal(self, host: str, now: float) -> str | None:
        """Return why a host may not ask now, None if it may."""
        if self._busy:
            return "another attempt is being made; ask again"
        if now - self._last.get(network_of(host), -BETWEEN_SECONDS) < BETWEEN_SECONDS:
            return f"one attempt in {BETWEEN_SECONDS:g} s; ask again"
        return None

    def began(self, host: str, now: float) -> None:
        """Count an attempt. When too many hosts are remembered, the one that asked longest ago is forgotten."""
        self._busy = True
        make_room(self._last, network_of(host))
        self._last[network_of(host)] = now

    def ended(self) -> None:
        """The attempt is over, however it ended."""
        self._busy = False


class ReachabilityService:
    """Answers the question of one node. ``count`` is told each outcome: reached, failed or declined."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._turns = AttemptLimiter()

    async def answer(self, host: str, port: int) -> pb.DialBackReply | Declined:
        """Dial a port of the caller, whose address is ``host`` as this node sees it."""
        now = asyncio.get_running_loop().time()
        declined = self._declined(host, port, now)
        if declined is not None:
            self._count("declined")
            return declined
        self._turns.began(host, now)
        try:
            problem = await attempt(host, port)
        finally:
            self._turns.ended()
        self._count("failed" if problem else "reached")
        return pb.DialBackReply(reached=not problem, host=host, problem=problem)

    def _declined(self, host: str, port: int, now: float) -> Declined | None:
        if not 1 <= port <= LAST_PORT:
            return Declined(grpc.StatusCode.INVALID_ARGUMENT, f"{port} is no port")
        if not _is_address(host):
            return Declined(grpc.StatusCode.FAILED_PRECONDITION, "the question comes from no address to dial")
        why = self._turns.refusal(host, now)
        return None if why is None else Declined(grpc.StatusCode.RESOURCE_EXHAUSTED, why)


async def attempt(host: str, port: int) -> str:
    """Open a connection to an IP address and close it; return what went wrong, empty if it was accepted."""
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError as error:
        return _described(error) if error.errno else f"no answer within {ATTEMPT_SECONDS:g} s"
    except OSError as error:
        return _described(error)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


def _described(error: OSError) -> str:
    """Return the system's words for an error; asyncio's own name the address once more."""
    return os.strerror(error.errno) if error.errno and not isinstance(error, socket.gaierror) else str(error)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
