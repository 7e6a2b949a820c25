"""Runs one node as a process of its own: the log, signals, torch's threads, and the end of the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import torch

from dslnode.cli.endings import ENDINGS
from dslnode.config.settings import Settings
from dslnode.errors import ExitCode
from dslnode.runtime.node import Node
from dslnode.runtime.systemd import keep_told
from dslnode.telemetry.log_stream import LogStream
from dslnode.telemetry.logs import LIBRARIES, LibraryHandler, Logger, make_logger


def run_process(settings: Settings, begin_from: Path | None = None) -> NoReturn:
    """Run a node to its end, and end the process with its exit code; ``begin_from`` as `Node` takes it.

    Raises a ``DslnodeError`` if it cannot start.
    """
    log = set_up_log(settings)
    torch.set_num_threads(settings.threads)
    asyncio.run(_run(settings, log, begin_from))
    raise AssertionError("the process has ended")


def set_up_log(settings: Settings) -> Logger:
    """Return the log of this process, on standard error; what libraries complain of becomes a part of it."""
    log = make_logger(settings.log_format, settings.log_level, LogStream(sys.stderr))
    for library in LIBRARIES:
        logging.getLogger(library).handlers = [LibraryHandler(log)]
    traceback.print_exc = _said_already
    return log


def leave(code: ExitCode) -> NoReturn:
    """End the process at once: all is saved, and neither a step that still runs nor Python's own end is waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a full disk, a reader that left
            stream.flush()
    os._exit(code)


async def _run(settings: Settings, log: Logger, begin_from: Path | None) -> NoReturn:
    """Leave from within: the event loop's own end would wait for threads that load data or look up a name."""
    node = Node(settings, log=log, begin_from=begin_from)
    loop = asyncio.get_running_loop()
    for number, why in ENDINGS.items():
        loop.add_signal_handler(number, node.stop, why)
    async with node:
        supervised = asyncio.create_task(keep_told(node.summary))
        code = await node.wait()
        supervised.cancel()
        await asyncio.gather(supervised, return_exceptions=True)
    leave(code)


def _said_already(*_arguments: Any, **_options: Any) -> None:
    """Print nothing: gRPC, which alone calls this here, has just logged the same, and strangers can make it do so."""
