"""Mutual TLS over blocking sockets, for a server in threads: clients prove who they are by tickets of the network."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path

from dslnode.errors import SettingsError
from dslnode.security.credentials import Credentials, server_context
from dslnode.security.identity import Identity

PROTOCOL = "http/1.1"


class TlsSockets:
    """Takes any client with a ticket of the same authority, unless it is revoked. Files that change are read again.

    Raises ``SettingsError`` if ticket or revocation list cannot be used.
    """

    def __init__(self, ticket: Path, revoked: Path | None) -> None:
        self._file = ticket
        self._credentials = Credentials(ticket, revoked)
        self._context = server_context(ticket, self._credentials.ticket, PROTOCOL)
        self._lock = threading.Lock()

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """Return a connection whose handshake is still to come; the other one is of no use any more."""
        with self._lock, contextlib.suppress(SettingsError):  # the former files stay in use
            if self._credentials.refresh():
                self._context = server_context(self._file, self._credentials.ticket, PROTOCOL)
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def authenticate(self, connection: socket.socket) -> Identity:
        """Shake hands; return who the client is. Raises ``OSError``, or ``PeerError`` if it may not take part."""
        assert isinstance(connection, ssl.SSLSocket), "it comes from wrap"
        connection.do_handshake()
        return self._credentials.peer(connection)
