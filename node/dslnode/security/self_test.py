"""A TLS handshake of a node's credentials with themselves, in memory: what is wrong with them shows there first."""

from __future__ import annotations

import ssl

from dslnode.security.credentials import Credentials
from dslnode.security.identity import SERVER_NAME

MAX_FLIGHTS = 10


def try_handshake(credentials: Credentials) -> str:
    """Hold both ends of a handshake; return why it fails, empty if it does not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = credentials.server.wrap_bio(to_server, to_client, server_side=True)
    client = credentials.client.wrap_bio(to_client, to_server, server_hostname=SERVER_NAME)
    waiting = [client, server]
    try:
        for _ in range(MAX_FLIGHTS):
            waiting = [end for end in waiting if not _is_done(end)]
    except ssl.SSLError as error:
        return getattr(error, "verify_message", "") or error.reason or str(error)
    return "it does not come to an end" if waiting else ""


def _is_done(end: ssl.SSLObject) -> bool:
    """Let an end do what it can; return whether it is done."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
