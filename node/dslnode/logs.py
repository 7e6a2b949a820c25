"""The log: one event a line, for people on a terminal or as JSON."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

Logger = structlog.typing.FilteringBoundLogger


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
    return logger
