"""Asking a running node for its status."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import grpc.aio

from dslnode.errors import PeerError, UnreachableError
from dslnode.transport.credentials import Credentials
from dslnode.transport.options import CHANNEL_OPTIONS
from dslnode.transport.tunnels import Tunnels
from dslnode.transport.ways import Secure, answers_with_tls
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc


def ask_status(address: str, timeout: float, ticket: Path | None = None) -> pb.StatusReply:
    """Return the status of the node at ``HOST:PORT``; ``UnreachableError`` if none answers within ``timeout`` s.

    A node that has a ticket answers only those who show one of the same authority. Raises ``SettingsError`` if
    ``ticket`` cannot be used.
    """
    if ticket is not None:
        return asyncio.run(_ask_by_tls(address, timeout, Tunnels(Credentials(ticket, None))))
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        try:
            reply: pb.StatusReply = node_pb2_grpc.StatusStub(channel).Get(pb.StatusRequest(), timeout=timeout)
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
            raise _unreachable(address, code.name.lower().replace("_", " ")) from error
        return reply


async def _ask_by_tls(address: str, timeout: float, tunnels: Tunnels) -> pb.StatusReply:
    host, _, port = address.rpartition(":")
    try:
        async with (
            Secure(tunnels).open(host.strip("[]"), int(port), timeout) as opened,
            grpc.aio.insecure_channel(opened.target, options=CHANNEL_OPTIONS) as channel,
        ):
            reply: pb.StatusReply = await node_pb2_grpc.StatusStub(channel).Get(pb.StatusRequest(), timeout=timeout)
            return reply
    except grpc.aio.AioRpcError as error:
        raise _unreachable(address, error.code().name.lower().replace("_", " ")) from error
    except (OSError, PeerError) as error:
        raise UnreachableError(f"no dslnode answers at {address}: it {error}") from error
    finally:
        tunnels.remove()


def _unreachable(address: str, why: str) -> UnreachableError:
    host, _, port = address.rpartition(":")
    if asyncio.run(answers_with_tls(host.strip("[]"), int(port))):
        return UnreachableError(f"{address} answers only holders of a ticket; give one with --ticket FILE")
    return UnreachableError(
        f"no dslnode answers at {address} ({why}); is it running, and is this its --listen address?"
    )
