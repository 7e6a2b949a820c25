"""Asking a running node for its status."""

from __future__ import annotations

import grpc

from dslnode.errors import UnreachableError
from dslnode.transport.options import CHANNEL_OPTIONS
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc


def ask_status(address: str, timeout: float) -> pb.StatusReply:
    """Return the status of the node at ``HOST:PORT``; ``UnreachableError`` if none answers within ``timeout`` s."""
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        try:
            reply: pb.StatusReply = node_pb2_grpc.StatusStub(channel).Get(pb.StatusRequest(), timeout=timeout)
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
            raise UnreachableError(
                f"no dslnode answers at {address} ({code.name.lower().replace('_', ' ')}); "
                "is it running, and is this its --listen address?"
            ) from error
        return reply
