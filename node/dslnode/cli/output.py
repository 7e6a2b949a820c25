"""Standard output whose reader may leave early."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def until_reader_leaves() -> Iterator[None]:
    """Take it as done when nobody reads on, as in ``dslnode config | head -1``; typer would call it an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
