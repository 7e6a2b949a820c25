"""Dials a peer back at its request, so that it learns whether others can reach it.

As in libp2p's AutoNAT, the address dialled is the one that the request came from; only the port is the caller's
choice. Nothing is sent on the connection. Attempts are short, one at a time, and few per caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from dslnode.addresses import ip_address_of
from dslnode.name_lookup import connect, resolve
from dslnode.security.handshake_limiter import make_room, network_of
from dslnode.v1 import node_pb2 as pb

ATTEMPT_SECONDS = 3.0
BETWEEN_SECONDS = 2.0
"""Seconds between two attempts for one caller."""
LAST_PORT = 65_535


@dataclass(frozen=True)
class Declined:
    """The request is declined with this gRPC status."""

    code: grpc.StatusCode
    explanation: str


class AttemptLimiter:
    """Allows one attempt at a time, and one per ``BETWEEN_SECONDS`` and host. ``now`` is in seconds."""

    def __init__(self) -> None:
        self._busy = False
        self._last_attempt: dict[str, float] = {}

    def refusal_reason(self, host: str, now: float) -> str | None:
        """Return why an attempt for a host is refused now; None if it is allowed."""
        if self._busy:
            return "another attempt is being made; ask again"
        if now - self._last_attempt.get(network_of(host), -BETWEEN_SECONDS) < BETWEEN_SECONDS:
            return f"one attempt in {BETWEEN_SECONDS:g} s; ask again"
        return None

    def attempt_started(self, host: str, now: float) -> None:
        """Count an attempt. When too many hosts are remembered, the one that asked longest ago is forgotten."""
        self._busy = True
        make_room(self._last_attempt, network_of(host))
        self._last_attempt[network_of(host)] = now

    def attempt_ended(self) -> None:
        """The attempt is over, with whatever outcome."""
        self._busy = False


class ReachabilityService:
    """Dials callers of one node back. ``count`` is called with each outcome: reached, failed or declined."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._limiter = AttemptLimiter()

    async def dial_back(self, host: str, port: int) -> pb.DialBackReply | Declined:
        """Dial a port of the caller. ``host`` is the caller's IP address as this node sees it."""
        now = asyncio.get_running_loop().time()
        declined = self._declined(host, port, now)
        if declined is not None:
            self._count("declined")
            return declined
        self._limiter.attempt_started(host, now)
        try:
            problem = await attempt(host, port)
        finally:
            self._limiter.attempt_ended()
        self._count("failed" if problem else "reached")
        return pb.DialBackReply(reached=not problem, host=host.partition("%")[0], problem=problem)

    def _declined(self, host: str, port: int, now: float) -> Declined | None:
        if not 1 <= port <= LAST_PORT:
            return Declined(grpc.StatusCode.INVALID_ARGUMENT, f"{port} is no port")
        if ip_address_of(host) is None:
            return Declined(grpc.StatusCode.FAILED_PRECONDITION, "the question comes from no address to dial")
        reason = self._limiter.refusal_reason(host, now)
        return None if reason is None else Declined(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)


async def attempt(host: str, port: int) -> str:
    """Open a connection to an IP address and close it; return the problem, empty if it was accepted."""
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            _, writer = await asyncio.open_connection(sock=await connect(await resolve(host, port)))
    except TimeoutError as error:
        return _describe(error) if error.errno else f"no answer within {ATTEMPT_SECONDS:g} s"
    except OSError as error:
        return _describe(error)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


def _describe(error: OSError) -> str:
    """Return the system's message for an error; asyncio's repeats the address."""
    return os.strerror(error.errno) if error.errno and not isinstance(error, socket.gaierror) else str(error)
