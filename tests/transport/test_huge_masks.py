"""Masks of a hundred million weights over a real link between two processes, in bounded memory at both ends."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

import pytest

from dslnode.cli.daemon_process import clean_environment
from tests.transport.huge import HUGE, STRIDE

ENDURED = 12
"""Packed masks by which a process may grow: codec, the mask before, the mask after, what gRPC holds."""


def end(running: ExitStack, *words: str) -> subprocess.Popen[str]:
    """Start one end; it is ended with the test."""
    command = [sys.executable, "-m", "tests.transport.huge", *words]
    pipe = subprocess.PIPE
    process = running.enter_context(
        subprocess.Popen(command, text=True, env=clean_environment(), stdin=pipe, stdout=pipe)
    )
    running.callback(process.kill)
    return process


def line(process: subprocess.Popen[str]) -> int:
    """Return the next number that an end tells."""
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.mark.slow
def test_a_hundred_million_weights_go_over_a_link_in_memory_for_a_few_masks() -> None:
    assert HUGE.size == 100_000_000
    with ExitStack() as running:
        hearing = end(running)
        sending = end(running, str(line(hearing)))
        payload, heard = line(sending), line(hearing)
        print("done", file=sending.stdin, flush=True)
        spoken = line(sending)
    print(f"sender grew by {spoken:,} bytes, receiver by {heard:,}; coded {payload // 8:,} bytes")
    assert HUGE.size < payload < HUGE.size * (1 + 20 / STRIDE), "one whole mask, and one as its flips"
    assert max(spoken, heard) < ENDURED * HUGE.byte_size
