"""Loggers of a node: one event per line, for people or as JSON. Nothing global is configured here."""

from __future__ import annotations

import logging
from typing import Any, Literal, TextIO, cast

import structlog

Logger = structlog.typing.FilteringBoundLogger

LIBRARIES = ("grpc", "asyncio")
"""Whose complaints a process that runs a node alone may pass on to the node's log (``LibraryHandler``)."""
MAX_KINDS = 100
LONGEST = 300


def make_logger(log_format: Literal["text", "json"], level: str, stream: TextIO) -> Logger:
    """Return a logger that writes events of at least ``level`` to a stream, one per line."""
    if log_format == "json":
        renderer: Any = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=22, sort_keys=False)
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=log_format == "json"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )
    return cast(Logger, logger)


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
            structlog.processors.format_exc_info,
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
