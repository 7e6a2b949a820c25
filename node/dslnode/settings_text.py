"""Effective settings as a commented TOML file: what ``dslnode config --show`` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from dslnode.config import Settings, describe
from dslnode.sources import Loaded


def settings_as_toml(loaded: Loaded) -> str:
    """Return a file that ``--config`` reads back; unset settings stand there as comments."""
    scalars = [name for name in Settings.model_fields if not _is_table(loaded, name)]
    tables = [name for name in Settings.model_fields if _is_table(loaded, name)]
    return "\n".join(_entry(loaded, name) for name in scalars + tables)


def _is_table(loaded: Loaded, name: str) -> bool:
    return isinstance(getattr(loaded.settings, name), Mapping)


def _entry(loaded: Loaded, name: str) -> str:
    value = getattr(loaded.settings, name)
    comment = textwrap.fill(describe(name), 108, initial_indent="# ", subsequent_indent="# ")
    origin = f"# from: {loaded.origins[name]}"
    if isinstance(value, Mapping):
        rows = [f"{_quoted(key)} = {ratio}" for key, ratio in value.items()]
        return "\n".join([comment, origin, f"[{name}]", *rows, ""])
    line = f"# {name} =" if value is None else f"{name} = {_literal(value)}"
    return "\n".join([comment, origin, line, ""])


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """Return a TOML basic string. Unlike JSON's, it writes what lies beyond 16 bits as one escape."""
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text)
    return '"' + "".join(plain) + '"'
