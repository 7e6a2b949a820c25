"""Who may read what the node serves over HTTP: holders of the token, and pages that are the node's own.

A page on the Internet can have its own name resolve to a node's address, and then read the node's status as if
the node were its own server (DNS rebinding). The ``Host`` header gives it away: a node answers to addresses and to
the names of its own machine only.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import socket
import stat
from pathlib import Path

from dslnode.addresses import ADDRESS, ip_address_of
from dslnode.errors import SettingsError
from dslnode.security.secret_files import read_text

MIN_TOKEN_LENGTH = 16


def read_token(file: Path, *, is_private: bool = False) -> str:
    """Return the token in a file; ``SettingsError`` if it cannot be read, or is none that a client could send.

    With ``is_private`` the file must not be open to all users of the machine.
    """
    token = read_text(file).strip()
    if is_private and file.stat().st_mode & stat.S_IRWXO:
        raise SettingsError(f"{file}: holds a token and is open to all users of this machine; chmod o= {file}")
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"{file}: holds no token of {MIN_TOKEN_LENGTH} or more printable ASCII characters without spaces; make one "
            f"with: python3 -c 'import secrets; print(secrets.token_urlsafe())' > {file}"
        )
    return token


def is_own_host(header: str, served_at: str = "") -> bool:
    """Tell whether a request's ``Host`` names this machine: an address, ``localhost``, its name, or ``served_at``.

    A request without the header comes from no browser.
    """
    name = _host(header)
    if not name or name == "localhost" or ip_address_of(name) is not None:
        return True
    own = socket.gethostname().lower()
    return name in {own, own.partition(".")[0], f"{own.partition('.')[0]}.local", _host(served_at)}


def _host(text: str) -> str:
    """Return the host of ``HOST:PORT`` or ``HOST`` in lower case, without brackets and final dot."""
    match = ADDRESS.fullmatch(text)
    return (match[1] if match else text).strip("[]").rstrip(".").lower()


def is_authorized(header: str, token: str | None) -> bool:
    """Tell whether an ``Authorization`` header, empty if there is none, has the token.

    It may be the bearer token, or the password of basic authentication (RFC 6750, 7617).
    """
    if token is None:
        return True
    scheme, _, credentials = header.partition(" ")
    given = _password(credentials.strip()) if scheme.lower() == "basic" else credentials.strip().encode("latin-1")
    return scheme.lower() in {"basic", "bearer"} and hmac.compare_digest(given, token.encode())


def _password(credentials: str) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
