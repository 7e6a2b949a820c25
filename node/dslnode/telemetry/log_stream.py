"""The end of a log: a stream that is written to whatever becomes of the disk, the terminal or the reader behind it.

What cannot be written is counted and dropped, and said once writing works again. A reader that stands still must not
stop the node: before each piece it is asked whether there is room.
"""

from __future__ import annotations

import os
import select
from typing import TextIO

PIECE_BYTES = 4096
"""PIPE_BUF of Linux: a pipe that is ready takes so much at once."""


class LogStream:
    """Wraps a text stream with a descriptor, such as standard error. ``write`` and ``flush`` never raise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0

    @property
    def lost(self) -> int:
        """Lines that could not be written and were not reported yet."""
        return self._lost

    def isatty(self) -> bool:
        """Return whether a terminal shows the log."""
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def write(self, text: str) -> int:
        """Write a text that ends with a line break, or count it as lost."""
        notice = f"({self._lost} lines of the log could not be written)\n" if self._lost else ""
        if self._put((notice + text).encode(errors="backslashreplace")):
            self._lost = 0
        else:
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is written is not held back."""

    def _put(self, content: bytes) -> bool:
        """Return whether all was written."""
        try:
            descriptor = self._stream.fileno()
            while content:
                if not select.select((), (descriptor,), (), 0)[1]:
                    return False
                content = content[os.write(descriptor, content[:PIECE_BYTES]) :]
        except (OSError, ValueError):  # a full disk, a reader that left, a closed stream
            return False
        return True
