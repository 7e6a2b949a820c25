"""Dials one peer for as long as the node lives: connect, talk, wait, again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket

import grpc.aio

from dslnode.addresses import host_and_port
from dslnode.errors import PeerError
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


class ExponentialBackoff:
    """Capped, jittered exponential backoff."""

    def __init__(self, jitter: random.Random, longest: float | None = None) -> None:
        self._jitter = jitter
        self._longest = longest
        self._next = FIRST_PAUSE

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._next = FIRST_PAUSE

    def take(self) -> float:
        """Return the next pause in seconds."""
        pause = self._next * self._jitter.uniform(0.75, 1.25)
        self._next = min(self._longest or LONGEST_PAUSE, 2 * self._next)
        return pause


async def keep_dialing(
    network: ConnectionManager, address: str, jitter: random.Random, way: ChannelProvider | None = None
) -> None:
    """Keep a link to the peer at ``address`` until cancelled; a peer that has dialled us is left alone meanwhile."""
    backoff, way = ExponentialBackoff(jitter), way or PlainChannels()
    while True:
        await network.wait_until_needed(address)
        if await dial(network, address, way):
            backoff.reset()
        await asyncio.sleep(backoff.take())


async def dial(network: ConnectionManager, address: str, way: ChannelProvider) -> bool:
    """Dial once and talk to the end; return whether it ended without fault. What failed is reported."""
    try:
        await _dial(network, address, way)
    except PeerError as error:
        if error.reason not in {"duplicate", "peer_duplicate", "leaving"}:
            network.report(PeerRefused(address, error.reason, str(error)))
    except (grpc.aio.AioRpcError, OSError, asyncio.InvalidStateError) as error:
        network.report(DialFailed(address, _why(error)))
    else:
        return True
    return False


async def _dial(network: ConnectionManager, address: str, way: ChannelProvider) -> None:
    """Talk with the first host behind this address that answers: a name may stand for IPv6 and IPv4 ones."""
    problem = OSError(f"the name in {address} stands for no host")
    for host, port in await _resolve(address):
        async with contextlib.AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(way.open(host, port, CONNECT_SECONDS))
                channel = await stack.enter_async_context(_channel(opened))
                await _wait_until_ready(channel, opened, (host, port))
            except OSError as error:
                problem = error
                continue
            return await _talk(network, channel, address, (host, port), opened)
    raise problem


def _channel(opened: ChannelTarget) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(opened.target, options=CHANNEL_OPTIONS)


async def _wait_until_ready(channel: grpc.aio.Channel, opened: ChannelTarget, where: tuple[str, int]) -> None:
    """Return when the other side has greeted; ``OSError`` saying what to look at if it does not."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await channel.channel_ready()
    except TimeoutError:
        if opened.identity is None and await answers_with_tls(*where):
            raise OSError("answers with TLS and wants a certificate; give this node a ticket (--ticket)") from None
        raise OSError(f"no connection within {CONNECT_SECONDS:g} s (is the node running, the port open?)") from None


async def _talk(
    network: ConnectionManager, channel: grpc.aio.Channel, address: str, remote: tuple[str, int], opened: ChannelTarget
) -> None:
    call = node_pb2_grpc.NeighbourStub(channel).Converse()
    try:
        stream = call if opened.identity is None else AuthenticatedStream(call, opened.identity)
        await network.connect(stream, address, remote)
    finally:
        await _end(call)


async def _end(call: grpc.aio.StreamStreamCall[pb.Frame, pb.Frame]) -> None:
    """Close our direction and give the other side a moment to take in what was sent."""
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await call.done_writing()
            await call.code()
    except (TimeoutError, asyncio.InvalidStateError, grpc.aio.AioRpcError):
        call.cancel()


async def _resolve(address: str) -> list[tuple[str, int]]:
    host, port = host_and_port(address)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"the name {host!r} is not known ({error.strerror})") from error
    except UnicodeError as error:
        raise OSError(f"{host!r} is not a name that can be looked up ({error})") from error
    return [(str(where[0]), int(where[1])) for *_, where in found[:MAX_HOSTS]]


def _why(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return clean(error.details() or error.code().name, 200)
    return str(error) or type(error).__name__
