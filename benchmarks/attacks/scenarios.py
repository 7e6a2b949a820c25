"""The attacks, each a coroutine that goes on until it is cancelled. ``ATTACKS`` has them by name."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import grpc.aio
from grpc_health.v1 import health_pb2

from benchmarks.attacks.hostile_peer import PING, PREFACE, HostilePeer, Pace, connect
from dslnode.errors import PeerError
from dslnode.protocol.membership import MemberRecord, MembershipUpdate
from dslnode.transport.member_frames import members_frame
from dslnode.v1 import node_pb2 as pb

BYTES_PER_SECOND = 850_000
"""Of member records: below the bytes that a neighbour may send."""
RECORDS = 2_500
"""Different records that a liar has: more than a neighbour may send at once."""
RETRY_SECONDS = 0.5
"""Pause before an attacker that was refused tries again."""


@dataclass(frozen=True)
class Targets:
    """The two nodes of the pair: their ports, and the port of the first one's page."""

    first: int
    second: int
    page: int


@dataclass(frozen=True)
class Attackers:
    """Two holders of tickets."""

    liar: HostilePeer
    accomplice: HostilePeer


Begin = Callable[[], None]
Attack = Callable[[Targets, Attackers, Begin], Awaitable[None]]
"""It calls ``Begin`` when it is prepared."""


async def _again(attempt: Callable[[], Awaitable[None]]) -> None:
    """Repeat an attempt for ever: a refusal ends it, and the attacker comes back."""
    while True:
        with contextlib.suppress(OSError, PeerError, asyncio.InvalidStateError, RuntimeError, grpc.aio.AioRpcError):
            await attempt()
        await asyncio.sleep(RETRY_SECONDS)


def _prepared(make: Callable[[int], MemberRecord]) -> Iterator[pb.Frame]:
    """Yield frames for ever. They are made before: that costs more than sending, and is not what is measured."""
    made = [pb.Frame(members=members_frame(MembershipUpdate((make(version),)))) for version in range(1, RECORDS)]
    return itertools.cycle(made)


async def _send_records(peer: HostilePeer, port: int, frames: Iterator[pb.Frame]) -> None:
    async with peer.link(port) as link:
        pace = Pace(BYTES_PER_SECOND)
        for frame in frames:
            await pace.spend(frame.ByteSize())
            await link.write(frame)


async def _read_nothing(peer: HostilePeer, port: int) -> None:
    async with peer.link(port) as link:
        await link.code()  # returns when the other side ends the link


async def unread_records(targets: Targets, attackers: Attackers, begin: Begin) -> None:
    """Send ever-new records to the second node, and never read the link to the first."""
    liar, accomplice = attackers.liar, attackers.accomplice
    first, second = _prepared(liar.large_record), _prepared(accomplice.large_record)
    begin()
    await asyncio.gather(
        _again(lambda: _read_nothing(liar, targets.first)),
        _again(lambda: _send_records(liar, targets.second, first)),
        _again(lambda: _send_records(accomplice, targets.second, second)),
    )


async def forged_records(targets: Targets, attackers: Attackers, begin: Begin) -> None:
    """Send records of nodes that do not exist, to both nodes."""

    def made_up(version: int) -> MemberRecord:
        true = attackers.liar.large_record(version)
        return replace(true, key=secrets.token_hex(16), name=f"made-up-{version}")

    frames = _prepared(made_up)
    begin()
    await asyncio.gather(
        _again(lambda: _send_records(attackers.liar, targets.first, frames)),
        _again(lambda: _send_records(attackers.accomplice, targets.second, frames)),
    )


async def health_watches(targets: Targets, attackers: Attackers, begin: Begin) -> None:
    """Hold 16 health watches on each of 8 connections, with each of two tickets."""
    begin()

    async def watch(peer: HostilePeer) -> None:
        async with peer.channel(targets.first) as channel:
            call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/grpc.health.v1.Health/Watch")
            question = health_pb2.HealthCheckRequest().SerializeToString()
            calls = [call(question) for _ in range(16)]
            await asyncio.gather(*(_drain(each) for each in calls), return_exceptions=True)

    peers = (attackers.liar, attackers.accomplice) * 8
    await asyncio.gather(*(_again(lambda peer=peer: watch(peer)) for peer in peers))  # type: ignore[misc]


async def _drain(call: AsyncIterable[bytes]) -> None:
    async for _ in call:
        pass


async def ping_flood(targets: Targets, attackers: Attackers, begin: Begin) -> None:
    """Send HTTP/2 pings as fast as they are taken, and read no answer."""
    begin()

    async def flood() -> None:
        stream = await attackers.liar.tls(targets.first)
        try:
            await stream.write(PREFACE)
            while True:
                await stream.write(1_000 * PING)
        finally:
            stream.abort()

    await asyncio.gather(*(_again(flood) for _ in range(2)))


async def silent_handshakes(targets: Targets, _: Attackers, begin: Begin) -> None:
    """Hold 16 connections from four addresses that never begin a handshake, each opened anew when it is closed."""
    begin()
    await _hold_silently(targets.first, [1, 2, 3, 4] * 4)


async def silent_crowd(targets: Targets, _: Attackers, begin: Begin) -> None:
    """Do the same with 128 connections from 32 addresses."""
    begin()
    await _hold_silently(targets.first, [*range(1, 33)] * 4)


async def _hold_silently(port: int, numbers: Sequence[int]) -> None:
    """Hold a connection from each of these addresses, and say nothing."""

    async def hold(number: int) -> None:
        connection = await connect(port, number)
        with contextlib.closing(connection):
            await asyncio.get_running_loop().sock_recv(connection, 1)

    await asyncio.gather(*(_again(lambda number=number: hold(number)) for number in numbers))  # type: ignore[misc]


async def broken_handshakes(targets: Targets, _: Attackers, begin: Begin) -> None:
    """Open 50 connections per second from eight addresses, send bytes that are no handshake, and close."""
    begin()
    pace, number = Pace(50), 0
    while True:
        await pace.spend()
        number = number % 8 + 1
        with contextlib.suppress(OSError):
            connection = await connect(targets.first, number)
            with contextlib.closing(connection):
                await asyncio.get_running_loop().sock_sendall(connection, secrets.token_bytes(100))


async def slow_page(targets: Targets, _: Attackers, begin: Begin) -> None:
    """Hold 243 connections to the page, each with a request that never ends."""
    begin()

    async def trickle() -> None:
        connection = await connect(targets.page)
        with contextlib.closing(connection):
            for byte in b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 1_000:
                await asyncio.get_running_loop().sock_sendall(connection, bytes((byte,)))
                await asyncio.sleep(1.0)

    await asyncio.gather(*(_again(trickle) for _ in range(243)))


async def idle_connections(targets: Targets, _: Attackers, begin: Begin) -> None:
    """Hold 600 HTTP/2 connections without a call."""
    begin()

    async def idle() -> None:
        connection = await connect(targets.first)
        with contextlib.closing(connection):
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, PREFACE)
            while await loop.sock_recv(connection, 4096):
                pass

    await asyncio.gather(*(_again(idle) for _ in range(600)))


async def nothing(_: Targets, __: Attackers, begin: Begin) -> None:
    """Attack nobody: what the measurement itself costs."""
    begin()
    await asyncio.Event().wait()


ATTACKS: Mapping[str, Attack] = {
    attack.__name__.replace("_", "-"): attack
    for attack in (
        nothing,
        unread_records,
        forged_records,
        health_watches,
        ping_flood,
        silent_handshakes,
        silent_crowd,
        broken_handshakes,
        slow_page,
        idle_connections,
    )
}
WITHOUT_TICKETS = frozenset({"idle-connections"})
"""Attacks on a pair that was started with ``--insecure``."""
FEW_DESCRIPTORS = frozenset({"slow-page", "idle-connections"})
"""Attacks on a pair whose processes may open 256 files."""
