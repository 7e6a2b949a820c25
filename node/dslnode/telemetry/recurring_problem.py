"""A failure that comes again and again: logged when it begins, when its reason changes, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dslnode.telemetry.logs import Logger


class RecurringProblem:
    """One kind of failure, called ``what`` in the log, and ``over`` once it is over. ``count`` is called for each."""

    def __init__(self, what: str, over: str, log: Logger, count: Callable[[], None]) -> None:
        self._what = what
        self._over = over
        self._log = log
        self._count = count
        self._problem = ""
        self._failures = 0

    def failed(self, problem: str, *, is_last: bool = False, **details: Any) -> None:
        """Take in a failure; the ``is_last`` one, at the end of the node, is logged in any case."""
        self._count()
        self._failures += 1
        if problem != self._problem or is_last:
            self._log.error(self._what, problem=problem, **details, **self._so_far())
        self._problem = problem

    def succeeded(self, **details: Any) -> None:
        """Take in that it went well."""
        if self._failures:
            self._log.info(self._over, **details, failures=self._failures)
        self._problem, self._failures = "", 0

    def _so_far(self) -> dict[str, int]:
        return {"failures": self._failures} if self._failures > 1 else {}
