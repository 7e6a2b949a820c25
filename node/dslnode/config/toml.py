"""Settings as a commented TOML file: what ``dslnode config`` prints, and with ``--init`` writes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from dslnode.config.loader import LoadedSettings
from dslnode.config.settings import Settings, describe, section_of
from dslnode.errors import SettingsError

TEMPLATE_HEAD = """\
# Settings of one dslnode: dslnode start --config {file}
# A setting that is commented out has the value shown. `dslnode config --show --config {file}` tells what is in
# force and where it comes from; `dslnode doctor --config {file}` looks for what will not work.
"""


def settings_as_toml(loaded: LoadedSettings) -> str:
    """Return a file that ``--config`` reads back; unset settings stand there as comments."""
    scalars = [name for name in Settings.model_fields if not _is_table(loaded, name)]
    tables = [name for name in Settings.model_fields if _is_table(loaded, name)]
    return "\n".join(_entry(loaded, name) for name in scalars + tables)


def write_template(loaded: LoadedSettings, file: Path) -> Path:
    """Write a file with all settings by section: those that are set somewhere as they are, the others commented out.

    Returns where it was written. Raises ``SettingsError`` if there is a file already, or it cannot be written.
    """
    text = settings_template(loaded, file)
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError as error:
        raise SettingsError(
            f"{file}: is there already and is left as it is; name another file, or remove it"
        ) from error
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written ({error.strerror}); name a file that can") from error
    return file


def settings_template(loaded: LoadedSettings, file: Path) -> str:
    """Return what ``write_template`` writes. Tables come last, as TOML wants it."""
    parts, section = [TEMPLATE_HEAD.format(file=file)], ""
    tables = [name for name in Settings.model_fields if _is_table(loaded, name)]
    for name in [name for name in Settings.model_fields if name not in tables] + tables:
        if section_of(name) != section and name not in tables:
            section = section_of(name)
            parts.append(f"# ---- {section} {'-' * (100 - len(section))}\n")
        parts.append(_template_entry(loaded, name))
    return "\n".join(parts)


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
    return textwrap.fill(describe(name), 108, initial_indent="# ", subsequent_indent="# ")


def _lines(loaded: LoadedSettings, name: str) -> list[str]:
    value = getattr(loaded.settings, name)
    if isinstance(value, Mapping):
        return [f"[{name}]", *(f"{_quoted(key)} = {ratio}" for key, ratio in value.items())]
    return [f"# {name} =" if value is None else f"{name} = {_literal(value)}"]


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
