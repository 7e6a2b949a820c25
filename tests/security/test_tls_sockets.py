"""Mutual TLS over blocking sockets: who is let in, and what of files that change is taken in."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dslnode.errors import PeerError
from dslnode.security.certificates import identity_from_der
from dslnode.security.identity import Identity
from dslnode.security.tls_sockets import TlsSockets
from tests.networks import NOW, Operator


@contextmanager
def connected(sockets: TlsSockets, ticket: Path, authority: str) -> Iterator[tuple[socket.socket, ssl.SSLSocket]]:
    """Shake hands over a pair of sockets; give the server's end and the client's."""
    context = ssl.create_default_context(cadata=authority)
    context.load_cert_chain(ticket)
    context.set_alpn_protocols(["h2", "http/1.1"])
    ours, theirs = socket.socketpair()
    server = sockets.wrap(ours)
    thread = threading.Thread(target=sockets.handshake, args=(server,))
    thread.start()
    with context.wrap_socket(theirs, server_hostname="dslnode") as client, server:
        thread.join(10)
        yield server, client


def shown(client: ssl.SSLSocket) -> Identity:
    return identity_from_der(client.getpeercert(binary_form=True) or b"")


def test_both_sides_know_each_other_and_speak_http(operator: Operator) -> None:
    own, guest = operator.ticket("board"), operator.ticket("guest")
    sockets = TlsSockets(own, None)
    with connected(sockets, guest, operator.authority.pem) as (server, client):
        assert shown(client).key == sockets.own
        assert shown(client).name == "board"
        assert sockets.identify(server) != sockets.own
        assert client.selected_alpn_protocol() == "http/1.1"
    with connected(sockets, own, operator.authority.pem) as (server, _):
        assert sockets.identify(server) == sockets.own


def test_a_ticket_that_is_revoked_counts_no_longer_on_open_connections(operator: Operator) -> None:
    sockets = TlsSockets(operator.ticket("board"), operator.revoked)
    with connected(sockets, operator.ticket("guest"), operator.authority.pem) as (server, _):
        sockets.identify(server)
        operator.authority.revoke("guest", NOW)
        with pytest.raises(PeerError, match="which the authority has revoked"):
            sockets.identify(server)


def test_a_renewed_ticket_is_shown_from_the_next_connection_on(operator: Operator) -> None:
    guest, sockets = operator.ticket("guest"), TlsSockets(operator.ticket("board"), None)
    with connected(sockets, guest, operator.authority.pem) as (_, client):
        before = shown(client).serial
    renewed = operator.renew("board")
    with connected(sockets, guest, operator.authority.pem) as (_, client):
        assert shown(client).serial != before
    renewed.write_text("damaged")
    with connected(sockets, guest, operator.authority.pem) as (_, client):
        assert shown(client).name == "board", "a file that cannot be used leaves the former one"
