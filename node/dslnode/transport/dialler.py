"""Dials one peer for as long as the node lives: connect, talk, wait, again."""

from __future__ import annotations

import asyncio
import random
import socket

import grpc.aio

from dslnode.errors import PeerError
from dslnode.transport.handshake import clean
from dslnode.transport.link import FAREWELL_SECONDS
from dslnode.transport.network import DialFailed, Network, PeerRefused
from dslnode.transport.options import CHANNEL_OPTIONS
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc

FIRST_PAUSE = 0.3
LONGEST_PAUSE = 5.0
CONNECT_SECONDS = 5.0
MAX_HOSTS = 4


class Pauses:
    """Capped, jittered exponential backoff."""

    def __init__(self, jitter: random.Random) -> None:
        self._jitter = jitter
        self._next = FIRST_PAUSE

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._next = FIRST_PAUSE

    def take(self) -> float:
        """Return the next pause in seconds."""
        pause = self._next * self._jitter.uniform(0.75, 1.25)
        self._next = min(LONGEST_PAUSE, 2 * self._next)
        return pause


async def keep_dialling(network: Network, address: str, jitter: random.Random) -> None:
    """Keep a link to the peer at ``address`` until cancelled; a peer that has dialled us is left alone meanwhile."""
    backoff = Pauses(jitter)
    while True:
        await network.wait_until_needed(address)
        try:
            await _dial(network, address)
            backoff.reset()
        except PeerError as error:
            if error.reason not in {"duplicate", "peer_duplicate", "leaving"}:
                network.report(PeerRefused(address, error.reason, str(error)))
        except (grpc.aio.AioRpcError, OSError, asyncio.InvalidStateError) as error:
            network.report(DialFailed(address, _why(error)))
        await asyncio.sleep(backoff.take())


async def _dial(network: Network, address: str) -> None:
    """Talk with the first host behind this address that answers: a name may stand for IPv6 and IPv4 ones."""
    for host, port in await _resolve(address):
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
            if await _is_ready(channel):
                return await _talk(network, channel, address, (host, port))
    raise OSError(f"no connection within {CONNECT_SECONDS:g} s (is the node running, the port open?)")


async def _is_ready(channel: grpc.aio.Channel) -> bool:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await channel.channel_ready()
    except TimeoutError:
        return False
    return True


async def _talk(network: Network, channel: grpc.aio.Channel, address: str, remote: tuple[str, int]) -> None:
    call = node_pb2_grpc.NeighbourStub(channel).Converse()
    try:
        await network.open(call, address, remote)
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
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"the name {host!r} is not known ({error.strerror})") from error
    except UnicodeError as error:
        raise OSError(f"{host!r} is not a name that can be looked up ({error})") from error
    return [(str(where[0]), int(where[1])) for *_, where in found[:MAX_HOSTS]]


def _why(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return clean(error.details() or error.code().name, 200)
    return str(error) or type(error).__name__
