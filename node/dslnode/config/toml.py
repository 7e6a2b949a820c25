"""Settings as a commented TOML file: what ``dslnode config`` prints, and with ``--init`` writes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import tomlkit

from dslnode.atomic_file import READABLE, write_file
from dslnode.config.loader import LoadedSettings
from dslnode.config.settings import Settings, describe, section_of
from dslnode.errors import SettingsError

TEMPLATE_HEAD = """\
# Settings of one dslnode: dslnode start --config {file}
# A setting that is commented out has the value shown. `dslnode config --show --config {file}` shows the settings in
# force and where each comes from; `dslnode doctor --config {file}` looks for what will not work.
"""
COMMENT_WIDTH = 108


def settings_as_toml(loaded: LoadedSettings) -> str:
    """Return a file that ``--config`` reads back; unset settings stand there as comments."""
    return "\n".join(_entry(loaded, name) for name in _in_file_order(loaded))


def write_template(loaded: LoadedSettings, file: Path) -> Path:
    """Write a file with all settings by section: those set somewhere as they are, the others commented out.

    Returns the path. Raises ``SettingsError`` if the file exists or cannot be written.
    """
    text = settings_template(loaded, file)
    try:
        write_file(file, text.encode(), READABLE, replace=False)
    except FileExistsError as error:
        raise SettingsError(f"{file}: exists already and is not changed; name another file, or remove it") from error
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written ({error.strerror}); name a file that can") from error
    return file


def settings_template(loaded: LoadedSettings, file: Path) -> str:
    """Return the text that ``write_template`` writes."""
    parts, section = [TEMPLATE_HEAD.format(file=file)], ""
    for name in _in_file_order(loaded):
        if section_of(name) != section and not _is_table(loaded, name):
            section = section_of(name)
            parts.append(f"# ---- {section} {'-' * (100 - len(section))}\n")
        parts.append(_template_entry(loaded, name))
    return "\n".join(parts)


def _in_file_order(loaded: LoadedSettings) -> list[str]:
    """Return all settings, tables last: in TOML, what follows a table's heading belongs to the table."""
    return sorted(Settings.model_fields, key=lambda name: _is_table(loaded, name))


def _template_entry(loaded: LoadedSettings, name: str) -> str:
    lines = _lines(loaded, name)
    if loaded.origins[name] == "default":
        lines = [line if line.startswith("#") else f"# {line}" for line in lines]
    return "\n".join([_comment(name), *lines, ""])


def _is_table(loaded: LoadedSettings, name: str) -> bool:
    return isinstance(getattr(loaded.settings, name), Mapping)


def _entry(loaded: LoadedSettings, name: str) -> str:
    return "\n".join([_comment(name), f"# from: {loaded.origins[name]}", *_lines(loaded, name), ""])


def _comment(name: str) -> str:
    return textwrap.fill(describe(name), COMMENT_WIDTH, initial_indent="# ", subsequent_indent="# ")


def _lines(loaded: LoadedSettings, name: str) -> list[str]:
    value = getattr(loaded.settings, name)
    if isinstance(value, Mapping):
        return [
            f"[{name}]",
            *(f"{tomlkit.key(_valid(key)).as_string()} = {_literal(item)}" for key, item in value.items()),
        ]
    return [f"# {name} =" if value is None else f"{name} = {_literal(value)}"]


def _literal(value: object) -> str:
    """Return a value in TOML's notation; what TOML has no type for, such as a path, becomes a string."""
    if isinstance(value, tuple):
        return tomlkit.item(
            [item if isinstance(item, int | float) else _valid(str(item)) for item in value]
        ).as_string()
    return tomlkit.item(value if isinstance(value, int | float) else _valid(str(value))).as_string()


def _valid(text: str) -> str:
    """Return the text with ``?`` for each byte of a file name that is no UTF-8: TOML cannot represent it."""
    return text.encode(errors="replace").decode()
