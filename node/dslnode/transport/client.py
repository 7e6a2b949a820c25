"""Requests to a running node: its status, its ledger, and to dial back. Blocking, for the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import grpc

from dslnode.addresses import grpc_address, host_and_port
from dslnode.errors import PeerError, UnreachableError
from dslnode.inference.model_header import MAX_FILE_BYTES
from dslnode.name_lookup import LOOKUP_SECONDS, LookupFailedError, resolve_blocking
from dslnode.security.channels import TlsChannels, answers_with_tls
from dslnode.security.credentials import Credentials
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.transport.grpc_options import CHANNEL_OPTIONS
from dslnode.transport.handshake import clean
from dslnode.transport.reachability import ATTEMPT_SECONDS
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc

DECLINED = {
    grpc.StatusCode.UNIMPLEMENTED: "does not know this question: it is an older dslnode",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "has no time for this question now: ask again in a few seconds",
    grpc.StatusCode.FAILED_PRECONDITION: "cannot tell which address this question came from",
}
"""What it means that a node answers, but not this request."""

Reply = TypeVar("Reply")
Request = Callable[[node_pb2_grpc.StatusStub], Reply]


def ask_status(address: str, timeout: float, ticket: Path | None = None) -> pb.StatusReply:
    """Return the status of the node at ``HOST:PORT``; ``UnreachableError`` if none answers within ``timeout`` s.

    A node with a ticket answers only holders of a ticket of the same authority. Raises ``SettingsError`` if
    ``ticket`` cannot be used, or no Unix socket can be made.
    """

    def request(stub: node_pb2_grpc.StatusStub) -> pb.StatusReply:
        reply: pb.StatusReply = stub.Get(pb.StatusRequest(), timeout=timeout)
        return reply

    return _ask(address, timeout, ticket, request)


def ask_ledger_rows(address: str, per: str, timeout: float, ticket: Path | None = None) -> list[pb.LedgerRow]:
    """Return the ledger's rows ``per`` hour or day, oldest first. Raises as ``ask_status`` does."""

    def request(stub: node_pb2_grpc.StatusStub) -> list[pb.LedgerRow]:
        return list(stub.Ledger(pb.LedgerRequest(per=per), timeout=timeout))

    return _ask(address, timeout, ticket, request)


def ask_dial_back(address: str, port: int, timeout: float, ticket: Path | None = None) -> pb.DialBackReply:
    """Have the node at ``HOST:PORT`` open a connection to a port of this machine. Raises as ``ask_status`` does."""

    def request(stub: node_pb2_grpc.StatusStub) -> pb.DialBackReply:
        reply: pb.DialBackReply = stub.DialBack(pb.DialBackRequest(port=port), timeout=timeout + ATTEMPT_SECONDS)
        return reply

    return _ask(address, timeout, ticket, request)


def ask_model(address: str, timeout: float, ticket: Path | None = None, *, last: bool = False) -> bytes:
    """Return the file of the node's best personal model, or of the ``last`` one. Raises as ``ask_status`` does."""

    def request(stub: node_pb2_grpc.StatusStub) -> bytes:
        content = bytearray()
        for part in stub.Model(pb.ModelRequest(last=last), timeout=timeout):
            content += part.data
            if len(content) > MAX_FILE_BYTES:
                raise OSError(f"sent more than {MAX_FILE_BYTES:,} bytes")
        return bytes(content)

    return _ask(address, timeout, ticket, request)


def _ask(address: str, timeout: float, ticket: Path | None, request: Request[Reply]) -> Reply:
    try:
        if ticket is None:
            return _call_plain(request, address, timeout)
        return asyncio.run(_ask_over_tls(address, timeout, TlsTunnels(Credentials(ticket, None)), request))
    except grpc.RpcError as error:
        code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
        if code is grpc.StatusCode.PERMISSION_DENIED and isinstance(error, grpc.Call):
            raise UnreachableError(f"{address} declines: {clean(error.details() or '', 200)}") from error
        if code in DECLINED:
            raise UnreachableError(f"{address} {DECLINED[code]}") from error
        raise _unreachable(address, code.name.lower().replace("_", " "), had_ticket=ticket is not None) from error
    except LookupFailedError as error:
        raise UnreachableError(f"no dslnode answers at {address}: {error}") from error
    except (OSError, PeerError) as error:
        raise UnreachableError(f"no dslnode answers at {address}: it {error}") from error


async def _ask_over_tls(address: str, timeout: float, tunnels: TlsTunnels, request: Request[Reply]) -> Reply:
    host, port = host_and_port(address)
    tunnels.open_directory()
    try:
        async with TlsChannels(tunnels).open(host, port, timeout) as channel_target:
            return await asyncio.to_thread(_call, request, channel_target.target)
    finally:
        tunnels.remove()


def _call_plain(request: Request[Reply], address: str, timeout: float) -> Reply:
    """Ask the first host behind a name that accepts a connection."""
    endpoints = resolve_blocking(*host_and_port(address), min(timeout, LOOKUP_SECONDS))
    for endpoint in endpoints[:-1]:
        try:
            return _call(request, grpc_address(endpoint.host, endpoint.port))
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
    return _call(request, grpc_address(endpoints[-1].host, endpoints[-1].port))


def _call(request: Request[Reply], target: str) -> Reply:
    with grpc.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        return request(node_pb2_grpc.StatusStub(channel))


def _unreachable(address: str, explanation: str, *, had_ticket: bool) -> UnreachableError:
    if not had_ticket and asyncio.run(answers_with_tls(*host_and_port(address))):
        return UnreachableError(f"{address} answers only holders of a ticket; give one with --ticket FILE")
    return UnreachableError(
        f"no dslnode answers at {address} ({explanation}); is it running, and is this its --listen address?"
    )
