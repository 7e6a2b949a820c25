"""A TLS handshake of a node's credentials with themselves, in memory: it shows what is wrong with a ticket."""

from __future__ import annotations

import ssl

from dslnode.security.credentials import Credentials
from dslnode.security.identity import SERVER_NAME

MAX_FLIGHTS = 10


def try_handshake(credentials: Credentials) -> str:
    """Hold both sides of a handshake; return why it fails, empty if it does not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = credentials.server.wrap_bio(to_server, to_client, server_side=True)
    client = credentials.client.wrap_bio(to_client, to_server, server_hostname=SERVER_NAME)
    unfinished = [client, server]
    try:
        for _ in range(MAX_FLIGHTS):
            unfinished = [side for side in unfinished if not _is_done(side)]
    except ssl.SSLError as error:
        return getattr(error, "verify_message", "") or error.reason or str(error)
    return "it does not come to an end" if unfinished else ""


def _is_done(side: ssl.SSLObject) -> bool:
    """Let one side do what it can; return whether it is done."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
