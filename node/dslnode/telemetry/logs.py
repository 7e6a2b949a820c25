"""The log: one event a line, for people on a terminal or as JSON."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, Literal

import structlog

Logger = structlog.typing.FilteringBoundLogger

LIBRARIES = ("grpc", "asyncio")
MAX_KINDS = 100
LONGEST = 300


def set_up(log_format: Literal["text", "json"], level: str) -> Logger:
    """Return the logger of this process; it writes to standard error."""
    stream = sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=log_format == "json"),
            structlog.processors.JSONRenderer()
            if log_format == "json"
            else structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=22, sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
    )
    logger: Logger = structlog.get_logger()
    for library in LIBRARIES:
        logging.getLogger(library).handlers = [Libraries(logger)]
    traceback.print_exc = _said_already
    return logger


def _said_already(*_arguments: Any, **_options: Any) -> None:
    """Print nothing: gRPC, which alone calls this here, has just logged the same, and strangers can make it do so."""


class Libraries(logging.Handler):
    """Writes what libraries complain of as lines of the node's own log, each kind once.

    gRPC complains, with a stack trace, of each call that a stranger breaks off or fills with garbage: it would fill
    the disk.
    """

    def __init__(self, log: Logger) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._told: set[tuple[str, str]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record unless one of its kind was written before."""
        kind = (record.name, record.msg.partition("\n")[0] if isinstance(record.msg, str) else "")
        if kind in self._told or len(self._told) >= MAX_KINDS:
            return
        self._told.add(kind)
        text = record.getMessage().partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        why = text if error is None else f"{text} {type(error).__name__}: {error}"
        clean = "".join(c if c.isprintable() else " " for c in why[:LONGEST])
        self._log.warning("library", library=record.name, why=clean)
