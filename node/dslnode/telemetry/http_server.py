"""Serves the node's HTTP application: a bounded number of clients, a deadline per connection, no fault of the node's.

A connection lasts at most ``CONNECTION_SECONDS``, whatever its client sends. With more than ``MAX_CONNECTIONS`` the
oldest is closed, so that a scrape, which takes milliseconds, gets through while others are held open. Where the
process has no file descriptor left, one that is kept in reserve takes the connection in, to close it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from socketserver import TCPServer
from typing import Any, TypeVar
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import WSGIApplication

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import ThreadingWSGIServer

from dslnode.errors import ListenError
from dslnode.name_lookup import Endpoint, resolve_own, resolve_own_blocking
from dslnode.telemetry.http_application import application
from dslnode.v1 import node_pb2 as pb

Answer = TypeVar("Answer")
ANSWER_TIMEOUT_SECONDS = 5.0
CONNECTION_SECONDS = 10.0
"""A connection is closed after so long, whether its request was answered or not."""
CLOSING_REASONS = ("full", "deadline", "descriptors", "error")
MAX_CONNECTIONS = 16
POLL_SECONDS = 0.1
NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}


async def serve_http(
    address: str,
    registry: CollectorRegistry,
    status: Callable[[], pb.StatusReply],
    unready: Callable[[], str],
    *,
    token: str | None = None,
) -> Callable[[], None]:
    """Serve at ``HOST:PORT`` from threads of its own, nothing if it is ``off``; return a function that stops it.

    Called on the event loop's thread; ``status`` and ``unready`` are called there, too. ``unready`` returns why
    the node is not ready, empty if it is. With a ``token``, everything but ``/ready`` needs it. Raises ``ListenError``.
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
    app = application(registry, on_loop(status), on_loop(unready), host=address, token=token)
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
        server_type: type[_BoundedServer] = type("Server", (_BoundedServer,), attributes)
        server = server_type(endpoint.socket_address, _Handler)
        server.set_app(app)
    except OSError as error:
        raise _cannot_serve(address, error) from error
    thread = threading.Thread(target=partial(server.serve_forever, POLL_SECONDS), name="pages", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _cannot_serve(address: str, error: OSError) -> ListenError:
    return ListenError(
        f"cannot serve metrics on {address} ({error.strerror or error}); choose another address with --metrics, "
        "or --metrics off"
    )


class _BoundedServer(ThreadingWSGIServer):
    """Closes the oldest connection when there are too many, and each at its deadline."""

    daemon_threads = True
    request_queue_size = 64
    block_on_close = False  # a stop waits for no client
    count_closed: Callable[[str], None]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._begun: dict[socket.socket, float] = {}  # when each open connection began, oldest first
        self._lock = threading.Lock()
        self._reserve: int | None = os.open(os.devnull, os.O_RDONLY)
        super().__init__(*arguments, **options)

    def server_close(self) -> None:
        """Close the address, and every connection that is still open."""
        super().server_close()
        with self._lock:
            still_open = list(self._begun)
        for connection in still_open:
            _shut(connection)
        self._free_reserve()

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which may take long where no resolver answers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; with no descriptor left, one from the reserve takes it in to close it."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:
                self._drop_with_reserve()
            raise  # the loop goes on to the next connection

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, once there is room."""
        with self._lock:
            self._begun[request] = time.monotonic()
            surplus = list(self._begun)[: max(len(self._begun) - MAX_CONNECTIONS, 0)]
        for connection in surplus:
            self._close_early(connection, "full")
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that is answered, and close it."""
        with self._lock:
            self._begun.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close the connections whose time is over; called each ``POLL_SECONDS`` and after each request."""
        if self._reserve is None:
            self._take_reserve()
        oldest = time.monotonic() - CONNECTION_SECONDS
        with self._lock:
            late = [connection for connection, begun in self._begun.items() if begun < oldest]
        for connection in late:
            self._close_early(connection, "deadline")

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Count what a client's broken connection raised: it is no fault of the node."""
        self.count_closed("error")

    def _close_early(self, connection: socket.socket, reason: str) -> None:
        with self._lock:
            if self._begun.pop(connection, None) is None:
                return  # answered meanwhile
        self.count_closed(reason)
        _shut(connection)

    def _drop_with_reserve(self) -> None:
        self.count_closed("descriptors")
        self._free_reserve()
        with contextlib.suppress(OSError):
            self.socket.accept()[0].close()
        self._take_reserve()
        if self._reserve is None:
            time.sleep(POLL_SECONDS)  # another thread took the descriptor: do not spin

    def _take_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY)

    def _free_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None


def _shut(connection: socket.socket) -> None:
    """End both directions: the thread that serves the connection sees its end, and closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


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
