"""Asks a running node for its status and its ledger: what ``dslnode status`` and ``dslnode ledger`` stand on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import grpc.aio

from dslnode.errors import PeerError, UnreachableError
from dslnode.ledger import Per
from dslnode.transport.credentials import Credentials
from dslnode.transport.ledger_rows import Line, read_row
from dslnode.transport.options import CHANNEL_OPTIONS
from dslnode.transport.tunnels import Tunnels
from dslnode.transport.ways import Plain, Secure, answers_with_tls
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc

Answer = TypeVar("Answer")


def ask_status(address: str, timeout: float, ticket: Path | None = None) -> pb.StatusReply:
    """Return the status of the node at ``HOST:PORT``; ``UnreachableError`` if none answers within ``timeout`` s.

    A node that has a ticket answers only those who show one of the same authority. Raises ``SettingsError`` if
    ``ticket`` cannot be used.
    """

    async def question(stub: node_pb2_grpc.StatusStub) -> pb.StatusReply:
        reply: pb.StatusReply = await stub.Get(pb.StatusRequest(), timeout=timeout)
        return reply

    return asyncio.run(_ask(address, timeout, ticket, question))


def ask_ledger(address: str, per: Per, timeout: float, ticket: Path | None = None) -> list[Line]:
    """Return the ledger's rows, oldest first. Raises as ``ask_status`` does."""

    async def question(stub: node_pb2_grpc.StatusStub) -> list[Line]:
        return [read_row(row) async for row in stub.Ledger(pb.LedgerRequest(per=per), timeout=timeout)]

    return asyncio.run(_ask(address, timeout, ticket, question))


async def _ask(
    address: str,
    timeout: float,
    ticket: Path | None,
    question: Callable[[node_pb2_grpc.StatusStub], Awaitable[Answer]],
) -> Answer:
    tunnels = None if ticket is None else Tunnels(Credentials(ticket, None))
    way = Plain(anywhere=True) if tunnels is None else Secure(tunnels)
    host, _, port = address.rpartition(":")
    try:
        async with (
            way.open(host.strip("[]"), int(port), timeout) as opened,
            grpc.aio.insecure_channel(opened.target, options=CHANNEL_OPTIONS) as channel,
        ):
            return await question(node_pb2_grpc.StatusStub(channel))
    except grpc.aio.AioRpcError as error:
        why = error.code().name.lower().replace("_", " ")
        if tunnels is None and await answers_with_tls(host.strip("[]"), int(port)):
            raise UnreachableError(
                f"{address} answers only holders of a ticket; give one with --ticket FILE"
            ) from error
        raise UnreachableError(
            f"no dslnode answers at {address} ({why}); is it running, and is this its --listen address?"
        ) from error
    except (OSError, PeerError) as error:
        raise UnreachableError(f"no dslnode answers at {address}: it {error}") from error
    finally:
        if tunnels is not None:
            tunnels.remove()
