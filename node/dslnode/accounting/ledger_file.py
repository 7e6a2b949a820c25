"""The ledger on the disk: one file, written whole or not at all, checked when it is read.

A line ``dslnode ledger 1 DIGEST`` (blake2b-128 of what follows, in hex), then JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dslnode.accounting.ledger import KINDS, Amounts, Direction, Ledger, PeriodAmounts, Row
from dslnode.atomic_file import replace_file
from dslnode.errors import StateError

FILE = "ledger"
MAGIC = b"dslnode ledger 1 "
MAX_BYTES = 1 << 24
DIGEST_BYTES = 16


@dataclass(frozen=True)
class LedgerState:
    """The ledger, neighbours' names by node id, the traffic totals as last booked, and the reserve.

    ``reserved`` bytes may have been transferred after this was saved, under ``hour``.
    """

    ledger: Ledger = field(default_factory=Ledger)
    names: Mapping[str, str] = field(default_factory=dict)
    booked: Mapping[Row, Amounts] = field(default_factory=dict)
    reserved: int = 0
    hour: int = 0


def pack(state: LedgerState) -> bytes:
    """Return the state as the content of the file."""
    content = {
        "kinds": KINDS,
        "names": dict(state.names),
        "hours": [[number, _rows(period)] for number, period in state.ledger.hours.items()],
        "days": [[number, _rows(period)] for number, period in state.ledger.days.items()],
        "booked": _rows(state.booked),
        "reserved": state.reserved,
        "hour": state.hour,
    }
    body = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    return MAGIC + _digest(body) + b"\n" + body


def unpack(content: bytes) -> LedgerState:
    """Read the state back; ``ValueError`` saying what is wrong if the bytes are not what ``pack`` made."""
    head, newline, body = content.partition(b"\n")
    if not head.startswith(MAGIC) or not newline:
        raise ValueError("is not a ledger of this version")
    if head.removeprefix(MAGIC) != _digest(body):
        raise ValueError("is damaged (its checksum does not match)")
    try:
        fields = json.loads(body)
        kinds = fields["kinds"]
        hours, days = (
            {int(number): _period(rows, kinds) for number, rows in fields[length]} for length in ("hours", "days")
        )
        booked = _period(fields["booked"], kinds)
        names = {str(neighbour): str(name) for neighbour, name in dict(fields["names"]).items()}
        return LedgerState(Ledger(hours, days), names, booked, int(fields["reserved"]), int(fields["hour"]))
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"is not what dslnode writes ({error})") from error


def save(directory: Path, content: bytes) -> None:
    """Write the packed state durably. Raises ``StateError``."""
    try:
        replace_file(directory / FILE, content)
    except OSError as error:
        raise StateError(f"{directory / FILE}: cannot be written ({error.strerror or error})") from error


def load(directory: Path) -> LedgerState | None:
    """Return the ledger saved in a directory, None without one. Raises ``StateError`` if it cannot be read."""
    file = directory / FILE
    try:
        with file.open("rb") as source:
            content = source.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{file}: cannot be read ({error.strerror or error}); check its permissions") from error
    try:
        if len(content) > MAX_BYTES:
            raise ValueError("is too large to be a ledger")
        return unpack(content)
    except ValueError as error:
        raise StateError(f"{file}: {error}; restore it, or remove it to begin a new ledger") from error


def _rows(period: Mapping[Row, Amounts]) -> list[list[Any]]:
    return [[neighbour, direction, *amounts.values()] for (neighbour, direction), amounts in period.items()]


def _period(rows: list[list[Any]], kinds: list[str]) -> PeriodAmounts:
    return {
        (str(neighbour), Direction(direction)): Amounts(**dict(zip(kinds, map(int, values), strict=True)))
        for neighbour, direction, *values in rows
    }


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).hexdigest().encode()
