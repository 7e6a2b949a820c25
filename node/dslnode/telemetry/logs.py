"""Loggers of a node: one event per line, for people or as JSON. Nothing global is configured here."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, Literal, Protocol, cast

import structlog

Logger = structlog.typing.FilteringBoundLogger

LIBRARIES = ("grpc", "asyncio")
"""Whose complaints a process that runs a node alone may pass on to the node's log (``LibraryHandler``)."""
MAX_KINDS = 100
LONGEST = 300
MAX_FRAMES = 12
MAX_REPORT = 4_000
"""Characters of a crash report, and frames of its innermost end: it goes to a log, and may not fill a disk."""


class Stream(Protocol):
    """Where a logger writes."""

    def write(self, text: str, /) -> object:
        """Write a line."""

    def flush(self) -> object:
        """Hold nothing back."""

    def isatty(self) -> bool:
        """Return whether a terminal shows it."""


def make_logger(log_format: Literal["text", "json"], level: str, stream: Stream) -> Logger:
    """Return a logger that writes events of at least ``level`` to a stream, one per line."""
    if log_format == "json":
        renderer: Any = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            pad_event_to=22,
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,
        )
    logger = structlog.wrap_logger(
        structlog.WriteLogger(cast(Any, stream)),
        processors=[
            add_crash_report,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=log_format == "json"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )
    return cast(Logger, logger)


def add_crash_report(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Turn ``exc_info`` into what failed, where, and a bounded report without local variables, which may be data."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["error"] = f"{type(error).__name__}: {error}"[:LONGEST]
        event["where"] = _place(error.__traceback__)
        report = "".join(traceback.format_exception(error, limit=-MAX_FRAMES))
        event["exception"] = report[-MAX_REPORT:].rstrip()
    return event


def _place(trace: TracebackType | None) -> str:
    """Return the innermost place: FILE:LINE FUNCTION."""
    frames = traceback.extract_tb(trace, limit=-1)
    return f"{frames[-1].filename}:{frames[-1].lineno} {frames[-1].name}" if frames else ""


def library_logger() -> Logger:
    """Return the logger of an embedded node: events go to the standard logger ``dslnode``, which the host configures.

    As of any library, nothing is shown unless the host asks for it; what the event names comes after it as KEY=VALUE.
    """
    standard = logging.getLogger("dslnode")
    if not standard.handlers:
        standard.addHandler(logging.NullHandler())
    logger = structlog.wrap_logger(
        standard,
        processors=[
            structlog.stdlib.filter_by_level,
            add_crash_report,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return cast(Logger, logger)


class LibraryHandler(logging.Handler):
    """Writes what libraries complain of as lines of the node's own log, each kind once.

    gRPC complains, with a stack trace, of each call that a stranger breaks off or fills with garbage: it would fill
    the disk.
    """

    def __init__(self, log: Logger) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._seen: set[tuple[str, str]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record unless one of its kind was written before."""
        kind = (record.name, record.msg.partition("\n")[0] if isinstance(record.msg, str) else "")
        if kind in self._seen or len(self._seen) >= MAX_KINDS:
            return
        self._seen.add(kind)
        text = record.getMessage().partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        why = text if error is None else f"{text} {type(error).__name__}: {error}"
        clean = "".join(c if c.isprintable() else " " for c in why[:LONGEST])
        self._log.warning("library", library=record.name, why=clean)
