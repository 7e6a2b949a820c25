"""Files that hold secrets: written whole, readable by their owner only, and not read if others can read them."""

from __future__ import annotations

import stat
from pathlib import Path

from dslnode.atomic_file import PRIVATE, write_file
from dslnode.errors import SettingsError
from dslnode.input_files import read_input
from dslnode.text_files import decode_text

MAX_BYTES = 1 << 20
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_private(file: Path) -> str:
    """Return the text of a secret file; ``SettingsError`` if it cannot be read, or if others can read it."""
    text = read_text(file)
    mode = file.stat().st_mode
    if mode & _OTHERS:
        raise SettingsError(
            f"{file}: holds a private key and is open to others (mode {stat.S_IMODE(mode):04o}); chmod 600 {file}"
        )
    return text


def read_text(file: Path) -> str:
    """Return the text of a file of at most ``MAX_BYTES``; ``SettingsError`` if it cannot be read."""
    try:
        return decode_text(read_input(file, MAX_BYTES))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise SettingsError(f"{file}: {error}, or give the right file") from error


def write_private(file: Path, text: str, *, replace: bool) -> None:
    """Write a file with mode 0600, whole or not at all. An existing one is an error unless ``replace``."""
    _write(file, text, PRIVATE, replace=replace)


def write_public(file: Path, text: str, *, replace: bool) -> None:
    """Write a file as ``write_private`` does, with mode 0644."""
    _write(file, text, 0o644, replace=replace)


def _write(file: Path, text: str, mode: int, *, replace: bool) -> None:
    try:
        write_file(file, text.encode(), mode, replace=replace)
    except FileExistsError as error:
        raise SettingsError(f"{file}: exists already and is not written over; move it away first") from error
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written ({error.strerror or error})") from error
