"""Accepts clients that ask for predictions, each in a thread of its own; a stop lets answers in the making go out."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any, Protocol

from dslnode.config.serving_limits import Limits
from dslnode.errors import ListenError, PeerError
from dslnode.name_lookup import Endpoint, resolve_own_blocking
from dslnode.serving.http_connection import Answers, HttpConnection
from dslnode.serving.messages import RequestError
from dslnode.telemetry.bounded_server import BoundedServer, shut

STOP_SECONDS = 1.0
"""How long a stop waits for requests that are being answered."""
FULL_TEXT = b'{"error": "too many clients; ask again"}\n'
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n" % len(FULL_TEXT)
) + FULL_TEXT


class SecureSockets(Protocol):
    """Puts TLS on sockets; ``dslnode.security.tls_sockets.TlsSockets`` does."""

    def wrap(self, connection: socket.socket) -> socket.socket:
        """Return a connection whose handshake is still to come. Raises ``OSError``."""

    def handshake(self, connection: socket.socket) -> None:
        """Shake hands. Raises ``OSError``."""

    def identify(self, connection: socket.socket) -> str:
        """Return who the client is. ``PeerError`` if it may not take part, or no longer."""


class PredictionServer(BoundedServer):
    """Serves while other clients are silent: one without an admitted request makes room for a newcomer."""

    def __init__(
        self,
        endpoint: Endpoint,
        answers: Answers,
        limits: Limits,
        *,
        secure: SecureSockets | None = None,
        count_closed: Callable[[str], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.address_family = endpoint.family
        self.max_connections = limits.clients
        self.count_closed = count_closed
        self._answers = answers
        self._limits = limits
        self._secure = secure
        self._failed = failed
        self._busy: set[socket.socket] = set()
        super().__init__(endpoint.socket_address, None)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.server_address[1])

    def server_close(self) -> None:
        """Close the address, let requests that are being answered end, and close every connection."""
        self.socket.close()
        end = time.monotonic() + STOP_SECONDS
        with self.changed:
            while self._busy and (left := end - time.monotonic()) > 0:
                self.changed.wait(left)
        super().server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, with TLS where it is asked for."""
        connection, address = super().get_request()
        if self._secure is None:
            return connection, address
        try:
            return self._secure.wrap(connection), address
        except (OSError, ValueError) as error:
            connection.close()
            raise OSError("the connection broke before TLS") from error

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own. Without room the longest silent one goes, or this one."""
        with self.changed:
            silent = [connection for connection in self.begun if connection not in self._busy]
            is_full = len(self.begun) >= self.max_connections
            if not is_full or silent:
                self.begun[request] = time.monotonic()
        if is_full and not silent:
            self._turn_away(request)
            return
        if is_full:
            self.close_early(silent[0], "full")
        ThreadingMixIn.process_request(self, request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (its caller's signature)
        """Answer the requests of a connection until it ends."""
        if self._secure is not None:
            request.settimeout(self._limits.seconds)
            self._secure.handshake(request)
        HttpConnection(
            request,
            self._answers,
            self._limits,
            identify=lambda: self._identify(request),
            begin=lambda: self._mark(request, busy=True),
            end=lambda: self._mark(request, busy=False),
        ).run()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Count what a client's broken connection raised; tell of anything else: it is a fault of ours."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self._failed(error)
        super().handle_error(request, client_address)

    def _identify(self, connection: socket.socket) -> str:
        """Return who the client is, asked anew for each request: a ticket may be revoked meanwhile."""
        try:
            return "" if self._secure is None else self._secure.identify(connection)
        except PeerError as error:
            raise RequestError(HTTPStatus.FORBIDDEN, f"this client {error}") from error

    def _mark(self, connection: socket.socket, *, busy: bool) -> None:
        with self.changed:
            (self._busy.add if busy else self._busy.discard)(connection)
            self.begun[connection] = self.begun.pop(connection, time.monotonic())  # the longest silent one first
            self.changed.notify_all()

    def _turn_away(self, connection: socket.socket) -> None:
        self.count_closed("full")
        if self._secure is None:  # in TLS nothing can be said before the handshake
            with contextlib.suppress(OSError):
                connection.settimeout(0)
                connection.sendall(FULL)
                connection.recv(self._limits.head_bytes)
        shut(connection)
        connection.close()


def serve_predictions(
    address: str,
    answers: Answers,
    limits: Limits,
    *,
    secure: SecureSockets | None = None,
    count_closed: Callable[[str], None],
    failed: Callable[[BaseException], None],
) -> tuple[int, Callable[[], None]]:
    """Serve at ``HOST:PORT``; return the port and a function that stops it. Raises ``ListenError``.

    ``failed`` is called with what is a fault of ours, in threads of the server.
    """
    try:
        endpoint = resolve_own_blocking(address)
        server = PredictionServer(endpoint, answers, limits, secure=secure, count_closed=count_closed, failed=failed)
    except OSError as error:
        raise ListenError(
            f"cannot serve predictions on {address} ({error.strerror or error}); choose another address"
        ) from error
    return server.port, server.start("predictions")
