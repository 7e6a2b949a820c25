"""What commands write: files that users name, and standard output whose reader may leave early."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dslnode.atomic_file import write_outputs
from dslnode.errors import SettingsError


@contextlib.contextmanager
def until_reader_leaves() -> Iterator[None]:
    """Take it as done when nobody reads on, as in ``dslnode config | head -1``; typer would call it an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_file(content: bytes, output: Path) -> int:
    """Write a file that the user named, whole or not at all; return its bytes. Raises ``SettingsError``."""
    return write_files({output: content})


def write_files(contents: Mapping[Path, bytes]) -> int:
    """Write files that belong together, all or none; return their bytes. Raises ``SettingsError``."""
    try:
        write_outputs(contents)
    except OSError as error:
        names = ", ".join(map(str, contents))
        raise SettingsError(
            f"{names}: cannot be written ({error.strerror or error}); make room there, or name another place"
        ) from error
    return sum(map(len, contents.values()))
