"""Mutual TLS over blocking sockets, for a server in threads: clients prove who they are by tickets of the network."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path

from dslnode.errors import SettingsError
from dslnode.security.credentials import Credentials, server_context

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

    @property
    def own(self) -> str:
        """The node id of the server's own ticket, in hex."""
        return self._credentials.identity.key

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """Return a connection whose handshake is still to come; the other one is of no use any more."""
        self._refresh()
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def handshake(self, connection: socket.socket) -> None:
        """Shake hands. Raises ``OSError``, as it does for a client without a certificate of the authority."""
        assert isinstance(connection, ssl.SSLSocket), "it comes from wrap"
        connection.do_handshake()

    def identify(self, connection: socket.socket) -> str:
        """Return the node id of the client's ticket, in hex. ``PeerError`` if it is revoked or not valid now."""
        assert isinstance(connection, ssl.SSLSocket), "it comes from wrap"
        self._refresh()
        return self._credentials.peer(connection).key

    def _refresh(self) -> None:
        with self._lock, contextlib.suppress(SettingsError):  # the former files stay in use
            if self._credentials.refresh():
                self._context = server_context(self._file, self._credentials.ticket, PROTOCOL)
