"""Dials one peer for as long as the node lives: connect, hold the conversation, wait, repeat."""

from __future__ import annotations

import asyncio
import contextlib
import random

import grpc.aio

from dslnode.addresses import host_and_port
from dslnode.errors import PeerError
from dslnode.name_lookup import resolve
from dslnode.security.channels import ChannelProvider, ChannelTarget, PlainChannels, answers_with_tls
from dslnode.transport.authenticated_stream import AuthenticatedStream
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.grpc_options import CHANNEL_OPTIONS
from dslnode.transport.handshake import clean
from dslnode.transport.link import FAREWELL_SECONDS
from dslnode.transport.link_events import DialFailed, PeerRefused
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc

FIRST_PAUSE = 0.3
LONGEST_PAUSE = 5.0
CONNECT_SECONDS = 5.0
MAX_HOSTS = 4
"""Hosts behind a name that are tried."""


class ExponentialBackoff:
    """Exponential backoff: pauses of ``first`` up to ``longest`` seconds, doubled each time, with jitter.

    They are ``FIRST_PAUSE`` and ``LONGEST_PAUSE`` by default.
    """

    def __init__(self, jitter: random.Random, longest: float | None = None, first: float | None = None) -> None:
        self._jitter = jitter
        self._longest = longest
        self._first = FIRST_PAUSE if first is None else first
        self._next = self._first

    def reset(self) -> None:
        """Return to the shortest pause."""
        self._next = self._first

    def next_pause(self) -> float:
        """Return the next pause in seconds."""
        pause = self._next * self._jitter.uniform(0.75, 1.25)
        self._next = min(self._longest or LONGEST_PAUSE, 2 * self._next)
        return pause


async def keep_dialing(
    connections: ConnectionManager, address: str, jitter: random.Random, channels: ChannelProvider | None = None
) -> None:
    """Keep a link to the peer at ``address`` until cancelled. It is not dialled while it has a link that it opened."""
    backoff, channels = ExponentialBackoff(jitter), channels or PlainChannels()
    while True:
        await connections.wait_until_needed(address)
        if await dial(connections, address, channels):
            backoff.reset()
        await asyncio.sleep(backoff.next_pause())


async def dial(connections: ConnectionManager, address: str, channels: ChannelProvider) -> bool:
    """Dial once and hold the conversation to its end. Report a failure, and return whether there was none."""
    try:
        await _dial(connections, address, channels)
    except PeerError as error:
        if error.reason not in {"duplicate", "peer_duplicate", "leaving"}:
            connections.report(PeerRefused(address, error.reason, str(error)))
    except (grpc.aio.AioRpcError, OSError, asyncio.InvalidStateError) as error:
        connections.report(DialFailed(address, _explain(error)))
    else:
        return True
    return False


async def _dial(connections: ConnectionManager, address: str, channels: ChannelProvider) -> None:
    """Converse with the first host behind this address that answers: a name may stand for several."""
    problem = OSError(f"the name in {address} stands for no host")
    for endpoint in (await resolve(*host_and_port(address)))[:MAX_HOSTS]:
        host, port = endpoint.host, endpoint.port
        async with contextlib.AsyncExitStack() as stack:
            try:
                target = await stack.enter_async_context(channels.open(host, port, CONNECT_SECONDS))
                channel = await stack.enter_async_context(_channel(target))
                await _wait_until_ready(channel, target, (host, port))
            except OSError as error:
                problem = error
                continue
            return await _converse(connections, channel, address, (host, port), target)
    raise problem


def _channel(target: ChannelTarget) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(target.target, options=CHANNEL_OPTIONS)


async def _wait_until_ready(channel: grpc.aio.Channel, target: ChannelTarget, remote: tuple[str, int]) -> None:
    """Return when HTTP/2 is set up; ``OSError`` with a hint if it is not in time."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await channel.channel_ready()
    except TimeoutError:
        if target.identity is None and await answers_with_tls(*remote):
            raise OSError("answers with TLS and wants a certificate; give this node a ticket (--ticket)") from None
        raise OSError(f"no connection within {CONNECT_SECONDS:g} s (is the node running, the port open?)") from None


async def _converse(
    connections: ConnectionManager,
    channel: grpc.aio.Channel,
    address: str,
    remote: tuple[str, int],
    target: ChannelTarget,
) -> None:
    call = node_pb2_grpc.NeighbourStub(channel).Converse()
    try:
        stream = call if target.identity is None else AuthenticatedStream(call, target.identity)
        await connections.connect(stream, address, remote)
    finally:
        await _end(call)


async def _end(call: grpc.aio.StreamStreamCall[pb.Frame, pb.Frame]) -> None:
    """Close our direction, and give the other side ``FAREWELL_SECONDS`` to read what was sent."""
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await call.done_writing()
            await call.code()
    except (TimeoutError, asyncio.InvalidStateError, grpc.aio.AioRpcError):
        call.cancel()


def _explain(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return clean(error.details() or error.code().name, 200)
    return str(error) or type(error).__name__
