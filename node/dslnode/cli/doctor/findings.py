"""Findings of ``dslnode doctor``: a level, a message and a fix, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """Severity of a finding, from harmless to severe."""

    OK = "ok"
    WARNING = "warning"  # it works, but not as intended
    PROBLEM = "problem"  # it does not work


@dataclass(frozen=True)
class Finding:
    """Result of one check: what was found, and how to fix it unless the level is ok."""

    check: str
    level: Level
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    """Return a finding without a fault."""
    return Finding(check, Level.OK, what)


def warning(check: str, what: str, fix: str) -> Finding:
    """Return a finding that an operator should know in advance."""
    return Finding(check, Level.WARNING, what, fix)


def problem(check: str, what: str, fix: str) -> Finding:
    """Return a finding that keeps the node from working."""
    return Finding(check, Level.PROBLEM, what, fix)


def from_error(check: str, message: str) -> Finding:
    """Return a problem from an error message: what is wrong, and after its last semicolon the fix."""
    what, semicolon, fix = message.rpartition("; ")
    return problem(check, what, fix) if semicolon else problem(check, message, "fix what the message names")


def worst_level(findings: Sequence[Finding]) -> Level:
    """Return the most severe level of all findings; ok without any."""
    return max((finding.level for finding in findings), key=list(Level).index, default=Level.OK)


def findings_as_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings for scripts."""
    return {"worst": worst_level(findings).value, "findings": [asdict(finding) for finding in findings]}
