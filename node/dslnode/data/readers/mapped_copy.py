"""Keeps unpacked bytes in a temporary file that is mapped: only what a node uses of them takes memory.

The file has no name and goes with the array. A device whose temporary directory is full or missing keeps the bytes in
memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Chunk = bytes | bytearray


def mapped_copy(chunks: Iterable[Chunk], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the bytes of ``chunks``, as many as ``shape`` needs, as a writable uint8 array of that shape.

    Only one chunk is held at a time. What is written to the array stays in this process.
    """
    left = iter(chunks)
    with ExitStack() as opened:
        try:
            file = opened.enter_context(tempfile.TemporaryFile(buffering=0))
        except OSError:
            return _in_memory(left, shape)
        unwritten = _write(file, left)
        if unwritten is None:
            # Copy on write: torch warns of arrays that it cannot write to
            return np.memmap(file, dtype=np.uint8, mode="c", shape=shape)
        file.seek(0)
        return _in_memory(chain([file.read()], unwritten), shape)


def _write(file: BinaryIO, chunks: Iterator[Chunk]) -> Iterator[Chunk] | None:
    """Write the chunks; return those that found no room, None if all did."""
    for chunk in chunks:
        begin = file.tell()
        try:
            written = file.write(chunk)
        except OSError:
            written = 0
        if written < len(chunk):
            file.truncate(begin)
            return chain([chunk], chunks)
    return None


def _in_memory(chunks: Iterable[Chunk], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    content = bytearray()
    for chunk in chunks:
        content += chunk
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
