"""Asking a running node for its status and its ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import grpc

from dslnode.errors import UnreachableError
from dslnode.ledger import Per
from dslnode.transport.ledger_rows import Line, read_row
from dslnode.transport.options import CHANNEL_OPTIONS
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc


def ask_status(address: str, timeout: float) -> pb.StatusReply:
    """Return the status of the node at ``HOST:PORT``; ``UnreachableError`` if none answers within ``timeout`` s."""
    with _asking(address) as stub:
        reply: pb.StatusReply = stub.Get(pb.StatusRequest(), timeout=timeout)
        return reply


def ask_ledger(address: str, per: Per, timeout: float) -> list[Line]:
    """Return the ledger's rows, oldest first; ``UnreachableError`` if no node answers within ``timeout`` s."""
    with _asking(address) as stub:
        return [read_row(row) for row in stub.Ledger(pb.LedgerRequest(per=per), timeout=timeout)]


@contextlib.contextmanager
def _asking(address: str) -> Iterator[node_pb2_grpc.StatusStub]:
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        try:
            yield node_pb2_grpc.StatusStub(channel)
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
            raise UnreachableError(
                f"no dslnode answers at {address} ({code.name.lower().replace('_', ' ')}); "
                "is it running, and is this its --listen address?"
            ) from error
