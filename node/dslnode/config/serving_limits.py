"""How much a client may ask of the server of predictions, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds: bytes of a request's head and body, rows of it, open connections, seconds for each request."""

    head_bytes: int = 16_384
    body_bytes: int = 4_194_304
    rows: int = 10_000
    clients: int = 16
    seconds: float = 10.0


DEFAULT_LIMITS = Limits()
