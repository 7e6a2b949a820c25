"""The listening end: conversations, status, and gRPC's standard health and reflection services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from dslnode.errors import ListenError
from dslnode.ledger import Per
from dslnode.transport.network import Network
from dslnode.transport.options import SERVER_OPTIONS
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc

SERVICES = tuple(service.full_name for service in pb.DESCRIPTOR.services_by_name.values())
MAX_CALLS = 256


class Server:
    """Accepts neighbours for a network; answers with what ``status`` and ``ledger`` return."""

    def __init__(
        self,
        network: Network,
        status: Callable[[], pb.StatusReply],
        ledger: Callable[[Per], Iterable[pb.LedgerRow]] = lambda _: (),
    ) -> None:
        self._server = grpc.aio.server(options=SERVER_OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
        node_pb2_grpc.add_NeighbourServicer_to_server(_Neighbour(network), self._server)
        node_pb2_grpc.add_StatusServicer_to_server(_Status(status, ledger), self._server)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def listen(self, address: str) -> int:
        """Bind ``HOST:PORT`` and serve; return the port (useful with port 0). ``ListenError`` if it cannot be had."""
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError:
            port = 0
        if port == 0:
            raise ListenError(
                f"cannot listen on {address}: the port is taken or the address is not this machine's; "
                "choose another with --listen HOST:PORT"
            )
        await self._server.start()
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace: float) -> None:
        """Refuse new calls and end the open ones within ``grace`` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


class _Neighbour(node_pb2_grpc.NeighbourServicer):
    def __init__(self, network: Network) -> None:
        self._network = network

    async def Converse(self, _requests: object, context: grpc.aio.ServicerContext[pb.Frame, pb.Frame]) -> None:
        await self._network.answer(context, read_address(context.peer()))


class _Status(node_pb2_grpc.StatusServicer):
    def __init__(self, status: Callable[[], pb.StatusReply], ledger: Callable[[Per], Iterable[pb.LedgerRow]]) -> None:
        self._status = status
        self._ledger = ledger

    async def Get(self, _request: pb.StatusRequest, _context: object) -> pb.StatusReply:
        return self._status()

    async def Ledger(self, request: pb.LedgerRequest, _context: object) -> AsyncIterator[pb.LedgerRow]:
        for row in list(self._ledger(Per.HOUR if request.per == Per.HOUR else Per.DAY)):
            yield row


def read_address(peer: str) -> tuple[str, int]:
    """Return host and port of gRPC's name for a peer: ``ipv4:10.0.0.2:40312`` or ``ipv6:%5B::1%5D:40312``."""
    host, _, port = peer.partition(":")[2].rpartition(":")
    host = host.replace("%5B", "[").replace("%5D", "]").strip("[]").removeprefix("::ffff:")
    return host, int(port) if port.isdigit() else 0
