"""The ledger on the disk: one file and its copy, each written whole or not at all, and checked when it is read.

A line ``dslnode ledger 1 DIGEST`` (blake2b-128 of what follows, in hex), then JSON. The copy is written after the
file, and a reserve is spent only after both. So each of them alone, whatever became of the other, knows at least what
may have been transferred.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dslnode.accounting.ledger import KINDS, Amounts, Direction, Ledger, PeriodAmounts, Row
from dslnode.atomic_file import BlockedFileError, read_file, replace_file
from dslnode.errors import StateError

FILE = "ledger"
COPY = "ledger.copy"
DAMAGED = "ledger.damaged"
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


@dataclass(frozen=True)
class LoadedLedger:
    """The ledger of a directory, None if there is none. ``problem`` says why it is not taken from its file.

    ``is_lost`` if there was one, and neither the file nor the copy can be used.
    """

    state: LedgerState | None = None
    problem: str = ""
    is_lost: bool = False


def save(directory: Path, content: bytes, *, set_aside: bool = False) -> None:
    """Write the packed state durably, twice; to ``set_aside``, keep the former file for examination.

    Raises ``StateError``.
    """
    file = directory / FILE
    try:
        replace_file(file, content, older=directory / DAMAGED if set_aside else None)
        file = directory / COPY
        replace_file(file, content)
    except BlockedFileError as error:
        raise StateError(f"{error.filename}: {error.strerror}") from error
    except OSError as error:
        raise StateError(f"{file}: cannot be written ({error.strerror or error})") from error


def load(directory: Path) -> LedgerState | None:
    """Return the ledger saved in a directory, None without one. Raises ``StateError`` if it cannot be read."""
    loaded = read_ledger(directory)
    if loaded.is_lost:
        raise StateError(f"{loaded.problem}; restore {FILE}, or let the node begin a new ledger")
    return loaded.state


def read_ledger(directory: Path) -> LoadedLedger:
    """Return the ledger of a directory, from the copy if the file is damaged or missing.

    Raises ``StateError`` if a file is there and cannot be opened.
    """
    state, problem = _read(directory / FILE)
    if state is not None:
        return LoadedLedger(state)
    copy, copy_problem = _read(directory / COPY)
    if copy is not None:
        return LoadedLedger(copy, problem or f"{directory / FILE}: is missing")
    problems = [text for text in (problem, copy_problem) if text]
    return LoadedLedger(None, "; ".join(problems), is_lost=bool(problems))


def _read(file: Path) -> tuple[LedgerState | None, str]:
    """Return what a file holds, and what is wrong with it; neither without a file."""
    try:
        content = read_file(file, MAX_BYTES)
        if len(content) > MAX_BYTES:
            raise ValueError("is too large to be a ledger")
        return unpack(content), ""
    except FileNotFoundError:
        return None, ""
    except BlockedFileError as error:
        raise StateError(f"{error.filename}: {error.strerror}") from error
    except OSError as error:
        if error.errno == errno.EIO:
            return None, f"{file}: is damaged ({error.strerror})"
        raise StateError(f"{file}: cannot be read ({error.strerror or error}); check its permissions") from error
    except ValueError as error:
        return None, f"{file}: {error}"


def _rows(period: Mapping[Row, Amounts]) -> list[list[Any]]:
    return [[neighbour, direction, *amounts.values()] for (neighbour, direction), amounts in period.items()]


def _period(rows: list[list[Any]], kinds: list[str]) -> PeriodAmounts:
    return {
        (str(neighbour), Direction(direction)): Amounts(**dict(zip(kinds, map(int, values), strict=True)))
        for neighbour, direction, *values in rows
    }


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).hexdigest().encode()
