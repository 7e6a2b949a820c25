"""Where settings come from: command line over environment over file over ticket over preset over default."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings, describe
from dslnode.errors import SettingsError
from dslnode.security.ticket import read_ticket

PREFIX = "DSLNODE_"
MAX_FILE_BYTES = 1 << 20
PATTERNS = {
    "name": "it takes 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen",
    "run_id": "it takes 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen",
    "share": "it takes two whole numbers, as 2/3",
}
"""What to say in place of a regular expression."""


@dataclass(frozen=True)
class LoadedSettings:
    """Effective settings, and where each comes from, by field name: ``--alpha``, ``DSLNODE_ALPHA``, a file."""

    settings: Settings
    origins: Mapping[str, str]
    ticket_problem: str = ""  # why the settings are without those of the ticket


def load(
    arguments: Mapping[str, str], environment: Mapping[str, str], file: Path | None, *, examine: bool = False
) -> LoadedSettings:
    """Return the effective settings. To ``examine`` them, go on without a ticket that cannot be read.

    ``arguments`` are the command line's options by field name, as text. Raises ``SettingsError`` naming the setting,
    where it was set, what is wrong and, for a misspelt one, the nearest name.
    """
    layers = [
        _from_file(file),
        _from_environment(environment),
        {field: (value, f"--{field.replace('_', '-')}") for field, value in arguments.items()},
    ]
    given: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        given.update(layer)
    return _merged(given, examine=examine)


def _merged(given: dict[str, tuple[Any, str]], *, examine: bool = False) -> LoadedSettings:
    """Return the settings of values that are given with their origins, over those of ticket, preset and defaults."""
    problem = ""
    try:
        given = {**_from_ticket(*given.get("ticket", (None, ""))), **given}
    except SettingsError as error:
        if not examine:
            raise
        problem = str(error)
        del given["ticket"]
    merged = {**_preset(given), **given}
    try:
        settings = Settings(**{field: value for field, (value, _) in merged.items()})
    except ValidationError as error:
        raise SettingsError(_explain(error, merged)) from error
    origins = {name: merged.get(name, (None, "default"))[1] for name in Settings.model_fields}
    return LoadedSettings(settings, origins, problem)


def load_settings(config: str | Path | None = None, **values: Any) -> Settings:
    """Return settings from values, over a TOML file, over the ticket that either names, over presets and defaults.

    Values are what ``Settings`` takes, by name. The environment is not read. Raises ``SettingsError``.
    """
    _check_names(values, "load_settings")
    given = {name: (str(value) if isinstance(value, Path) else value, name) for name, value in values.items()}
    return _merged({**_from_file(None if config is None else Path(config)), **given}).settings


def _from_file(file: Path | None) -> dict[str, tuple[Any, str]]:
    if file is None:
        return {}
    try:
        with file.open("rb") as source:
            content = source.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise SettingsError(f"{file}: a settings file of more than 1 MiB is surely another file")
        table = tomllib.loads(content.decode())
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}); give an existing file to --config") from error
    except (ValueError, RecursionError) as error:  # bad syntax, bad UTF-8, endless digits; endless brackets
        remedy = "mend it there, or begin with the file that `dslnode config --init` writes"
        raise SettingsError(f"{file}: is not TOML: {error}; {remedy}") from error
    _check_names(table, str(file))
    return {field: (value, str(file)) for field, value in table.items()}


def _from_ticket(file: Any, origin: str) -> dict[str, tuple[Any, str]]:
    if file is None:
        return {}
    if not isinstance(file, str) or not file:
        raise SettingsError(f"ticket = {file!r} (from {origin}): is no file name")
    layer = read_ticket(Path(file)).layer()
    _check_names(layer, file)
    return {field: (value, file) for field, value in layer.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    found = {
        name.removeprefix(PREFIX).lower(): (value, name)
        for name, value in environment.items()
        if name.startswith(PREFIX) and name != f"{PREFIX}CONFIG"
    }
    _check_names(found, "the environment", PREFIX)
    return found


def _check_names(found: Mapping[str, object], where: str, prefix: str = "") -> None:
    for name in found:
        if name not in Settings.model_fields:
            shown = prefix + (name.upper() if prefix else name)
            near = difflib.get_close_matches(name, Settings.model_fields, 1)
            known = prefix + (near[0].upper() if prefix else near[0]) if near else ""
            hint = f"did you mean {known}?" if near else "`dslnode config --show` lists all settings"
            raise SettingsError(f"{where}: there is no setting {shown}; {hint}")


def _preset(given: Mapping[str, tuple[Any, str]]) -> dict[str, tuple[Any, str]]:
    name = given["algorithm"][0] if "algorithm" in given else "default"
    preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
    return {field: (value, f"preset {name}") for field, value in preset.items()}


def _told(kind: str, message: str, field: str) -> str:
    """Return what is wrong; our own checks say what to write instead, to pydantic's we add what the setting means."""
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        message = PATTERNS.get(field, message)
    return f"{message}; it means: {describe(field)}" if field in Settings.model_fields else message


def _explain(error: ValidationError, merged: Mapping[str, tuple[Any, str]]) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        message = _told(problem["type"], problem["msg"], field)
        if field in merged:
            value, origin = merged[field]
            lines.append(f"{field} = {value!r} (from {origin}): {message}")
        elif field:
            lines.append(f"{field} (default): {message}; set it with --{field.replace('_', '-')}")
        else:
            lines.append(message)
    return "\n".join(lines)
