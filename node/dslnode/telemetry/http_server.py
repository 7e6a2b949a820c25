"""Serves the node's HTTP application: a bounded number of clients, a deadline per connection, no fault of the node's.

A connection lasts at most ``CONNECTION_SECONDS``, whatever its client sends. With more than ``MAX_CONNECTIONS`` the
oldest is closed, so that a scrape, which takes milliseconds, gets through while others are held open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from socketserver import TCPServer
from typing import Any, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication

from prometheus_client import CollectorRegistry, Counter

from dslnode.errors import ListenError
from dslnode.name_lookup import Endpoint, resolve_own, resolve_own_blocking
from dslnode.telemetry.bounded_server import BoundedServer
from dslnode.telemetry.http_application import application
from dslnode.v1 import node_pb2 as pb

Answer = TypeVar("Answer")
ANSWER_TIMEOUT_SECONDS = 5.0
CONNECTION_SECONDS = 10.0
"""A connection is closed after so long, whether its request was answered or not."""
CLOSING_REASONS = ("full", "deadline", "descriptors", "error")
MAX_CONNECTIONS = 16


async def serve_http(
    address: str,
    registry: CollectorRegistry,
    status: Callable[[], pb.StatusReply],
    unready: Callable[[], str],
    *,
    serve: str = "",
    token: str | None = None,
) -> Callable[[], None]:
    """Serve at ``HOST:PORT`` from threads of its own, nothing if it is ``off``; return a function that stops it.

    Called on the event loop's thread; ``status`` and ``unready`` are called there, too. ``unready`` returns why
    the node is not ready, empty if it is. ``serve`` is the URL at which it answers predictions, if it does. With a
    ``token``, everything but ``/ready`` needs it. Raises ``ListenError``.
    """
    if address == "off":
        return lambda: None
    loop = asyncio.get_running_loop()

    def on_loop(question: Callable[[], Answer]) -> Callable[[], Answer]:
        async def ask() -> Answer:
            return question()

        return lambda: asyncio.run_coroutine_threadsafe(ask(), loop).result(ANSWER_TIMEOUT_SECONDS)

    closed = Counter(
        "dslnode_http_connections_closed",
        f"Connections to the metrics address closed early: {', '.join(CLOSING_REASONS)}.",
        ["reason"],
        registry=registry,
    )
    for reason in CLOSING_REASONS:
        closed.labels(reason)  # 0 from the start: a rise from nothing is none to Prometheus
    app = application(registry, on_loop(status), on_loop(unready), host=address, serve=serve, token=token)
    try:
        endpoint = await resolve_own(address)
    except OSError as error:
        raise _cannot_serve(address, error) from error
    return _serve_at(address, endpoint, app, lambda reason: closed.labels(reason).inc())


def serve(
    address: str, app: WSGIApplication, count_closed: Callable[[str], None] = lambda _reason: None
) -> Callable[[], None]:
    """Serve at ``HOST:PORT`` until the returned function is called. Raises ``ListenError`` if it cannot be bound.

    ``count_closed`` is called with the reason of each connection that is closed early, from threads of the server.
    """
    try:
        endpoint = resolve_own_blocking(address)
    except OSError as error:
        raise _cannot_serve(address, error) from error
    return _serve_at(address, endpoint, app, count_closed)


def _serve_at(
    address: str, endpoint: Endpoint, app: WSGIApplication, count_closed: Callable[[str], None]
) -> Callable[[], None]:
    try:
        attributes = {"address_family": endpoint.family, "count_closed": staticmethod(count_closed)}
        server_type: type[_PageServer] = type("Server", (_PageServer,), attributes)
        server = server_type(endpoint.socket_address, _Handler)
    except OSError as error:
        raise _cannot_serve(address, error) from error
    server.set_app(app)
    return server.start("pages")


def _cannot_serve(address: str, error: OSError) -> ListenError:
    return ListenError(
        f"cannot serve metrics on {address} ({error.strerror or error}); choose another address with --metrics, "
        "or --metrics off"
    )


class _PageServer(BoundedServer, WSGIServer):
    """Closes each connection at its deadline, too."""

    max_connections = MAX_CONNECTIONS

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which may take long where no resolver answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def service_actions(self) -> None:
        """Close the connections whose time is over."""
        super().service_actions()
        oldest = time.monotonic() - CONNECTION_SECONDS
        with self.lock:
            late = [connection for connection, begun in self.begun.items() if begun < oldest]
        for connection in late:
            self.close_early(connection, "deadline")


class _Handler(WSGIRequestHandler):
    """Logs nothing, and looks up no client's name."""

    timeout = CONNECTION_SECONDS

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: what matters of the node is in its own log."""

    def get_stderr(self) -> Any:
        """Return where wsgiref prints a failed answer: nowhere, since the client has its status."""
        return _Nowhere()


class _Nowhere:
    def write(self, _text: str) -> None: ...

    def flush(self) -> None: ...
