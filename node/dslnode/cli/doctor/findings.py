"""What ``dslnode doctor`` says: findings, each with its remedy, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works, but not as somebody would want
    PROBLEM = "problem"  # it does not work


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, and, unless all is well, what to do about it."""

    check: str
    level: Level
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    """Return that all is well."""
    return Finding(check, Level.OK, what)


def warning(check: str, what: str, fix: str) -> Finding:
    """Return what somebody should know before it bites."""
    return Finding(check, Level.WARNING, what, fix)


def problem(check: str, what: str, fix: str) -> Finding:
    """Return what will not work."""
    return Finding(check, Level.PROBLEM, what, fix)


def from_error(check: str, message: str) -> Finding:
    """Return a problem that an error's message tells: what is wrong, then, after its last semicolon, the remedy."""
    what, semicolon, fix = message.rpartition("; ")
    return problem(check, what, fix) if semicolon else problem(check, message, "mend what the message names")


def worst(findings: Sequence[Finding]) -> Level:
    """Return the worst level of all; ok if there is none."""
    return max((finding.level for finding in findings), key=list(Level).index, default=Level.OK)


def as_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings for scripts."""
    return {"worst": worst(findings).value, "findings": [asdict(finding) for finding in findings]}


def shortened(amount: float, unit: str = "B") -> str:
    """Return an amount of bytes, or bits, in three digits or so: ``1.2 MB``."""
    for prefix in ("", "k", "M", "G"):
        if amount < 999.5:
            return f"{amount:.1f} {prefix}{unit}" if prefix and amount < 99.95 else f"{amount:.0f} {prefix}{unit}"
        amount /= 1000
    return f"{amount:.1f} T{unit}"
