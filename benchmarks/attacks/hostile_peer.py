"""Connections of an attacker: over TCP, over TLS with a ticket, and as a neighbour that says hello."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio

from dslnode.protocol.membership import MemberRecord, address_proof
from dslnode.security.channels import TlsChannels
from dslnode.security.credentials import Credentials
from dslnode.security.member_signature import MemberSignatures
from dslnode.security.tls_stream import TlsStream
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.transport.grpc_options import CHANNEL_OPTIONS
from dslnode.transport.handshake import NodeInfo
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What an HTTP/2 client begins with (RFC 9113, section 3.4), and empty settings."""
PING = bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + bytes(8)
Stream = grpc.aio.StreamStreamCall[pb.Frame, pb.Frame]


class HostilePeer:
    """The holder of a ticket, who may say what it likes. ``me`` is a hello that fits the network."""

    def __init__(self, ticket: Path, me: NodeInfo, run_id: str) -> None:
        self.credentials = Credentials(ticket, None)
        self.signatures = MemberSignatures(self.credentials, run_id)
        self._me = me
        self._tunnels = TlsTunnels(self.credentials)

    @contextlib.asynccontextmanager
    async def channel(self, port: int) -> AsyncIterator[grpc.aio.Channel]:
        """Open gRPC over TLS."""
        async with contextlib.AsyncExitStack() as stack:
            target = await stack.enter_async_context(TlsChannels(self._tunnels).open("127.0.0.1", port, 5.0))
            channel = grpc.aio.insecure_channel(target.target, options=CHANNEL_OPTIONS)
            yield await stack.enter_async_context(channel)

    @contextlib.asynccontextmanager
    async def link(self, port: int) -> AsyncIterator[Stream]:
        """Open a link as a neighbour does, hellos included. What comes is read by nobody."""
        async with self.channel(port) as channel:
            call: Stream = node_pb2_grpc.NeighbourStub(channel).Converse()
            await call.write(pb.Frame(hello=self._me.to_proto(0, essential=True)))
            await call.read()
            yield call

    async def tls(self, port: int) -> TlsStream:
        """Open a TLS connection."""
        stream = TlsStream(*await asyncio.open_connection("127.0.0.1", port), self.credentials.client)
        await stream.handshake()
        return stream

    def large_record(self, version: int) -> MemberRecord:
        """Return what it says of itself, as large as a record may be, another one each time."""
        who = self.credentials.identity
        links = frozenset(secrets.token_hex(16) for _ in range(100))
        proven = frozenset(address_proof(key, "10.0.0.1:1") for key in links)
        return self.signatures.sign(MemberRecord(who.key, version, who.name, "", links, proven=proven))


class Pace:
    """Keeps an attack at a rate: ``spend`` returns when so much may be spent."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._began = time.monotonic()
        self._spent = 0.0

    async def spend(self, amount: float = 1.0) -> None:
        """Wait until the rate allows so much more."""
        self._spent += amount
        await asyncio.sleep(max(0.0, self._began + self._spent / self._per_second - time.monotonic()))


async def connect(port: int, number: int = 0) -> socket.socket:
    """Open a TCP connection from 127.0.0.1, or from another address of this machine for each number."""
    connection = socket.socket()
    connection.setblocking(False)
    try:
        if number:
            connection.bind((f"127.0.1.{number}", 0))
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    except OSError:
        connection.close()
        raise
    return connection
