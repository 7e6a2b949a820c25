"""Loads settings from their sources: command line over environment over file over ticket over preset over default."""

from __future__ import annotations

import contextlib
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings, describe
from dslnode.errors import SettingsError
from dslnode.input_files import read_input
from dslnode.security.ticket import read_ticket
from dslnode.text_files import decode_text

PREFIX = "DSLNODE_"
MAX_FILE_BYTES = 1 << 20
CODE_SETTINGS = ("data", "model", "task")
"""Settings whose value may be ``module:function``, which is imported and called."""
NOT_IN_TICKETS = frozenset({"ticket", "insecure", "allow_code_from_ticket"})
"""What the board alone decides."""
PATTERNS = {
    "name": "it takes 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen",
    "run_id": "it takes 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen",
    "share": "it takes two whole numbers, as 2/3",
}
"""Messages in place of a regular expression, by field."""


Layer = dict[str, tuple[Any, str]]
"""Values of one source by field name, each with its origin."""


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
    where it was set, the problem and, for a misspelt one, the nearest name.
    """
    layers = [
        _from_file(file),
        _from_environment(environment),
        {field: (value, f"--{field.replace('_', '-')}") for field, value in arguments.items()},
    ]
    given: Layer = {}
    for layer in layers:
        given.update(layer)
    return _merged(given, examine=examine)


def _merged(given: Layer, *, examine: bool = False) -> LoadedSettings:
    """Return the settings of values that are given with their origins, over those of ticket, preset and defaults."""
    problem = ""
    try:
        ticket = _from_ticket(*given.get("ticket", (None, "")))
        _check_code(ticket, given)
        given = {**ticket, **given}
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


def check_given(given: Layer, source: str) -> None:
    """Raise ``SettingsError`` unless these values, each with its origin, could be settings; ``source`` is of all."""
    _check_names(given, source)
    _merged(given)


def load_settings(config: str | Path | None = None, **values: Any) -> Settings:
    """Return settings from values, over a TOML file, over the ticket that either names, over presets and defaults.

    Values are what ``Settings`` takes, by name. The environment is not read. Raises ``SettingsError``.
    """
    _check_names(values, "load_settings")
    given = {name: (str(value) if isinstance(value, Path) else value, name) for name, value in values.items()}
    return _merged({**_from_file(None if config is None else Path(config)), **given}).settings


def _from_file(file: Path | None) -> Layer:
    if file is None:
        return {}
    try:
        text = _decoded(file, read_input(file, MAX_FILE_BYTES))
        table = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}); give a settings file to --config") from error
    except (ValueError, RecursionError) as error:  # bad syntax, endless digits; endless brackets
        remedy = "fix it there, or start from the file that `dslnode config --init` writes"
        raise SettingsError(f"{file}: is not TOML: {error}; {remedy}") from error
    _check_names(table, str(file))
    return {field: (value, str(file)) for field, value in table.items()}


def _decoded(file: Path, content: bytes) -> str:
    try:
        return decode_text(content)
    except ValueError as error:
        raise SettingsError(f"{file}: {error}") from error


def _from_ticket(file: Any, origin: str) -> Layer:
    if file is None:
        return {}
    if not isinstance(file, str) or not file:
        raise SettingsError(f"ticket = {file!r} (from {origin}): is not a file name")
    from dslnode.security.ticket_signature import check_settings_signature  # loads cryptography

    ticket = read_ticket(Path(file))
    check_settings_signature(ticket, Path(file))
    layer = ticket.layer()
    _check_names(layer, file)
    for name in NOT_IN_TICKETS.intersection(ticket.settings):
        raise SettingsError(f"{file}: a ticket may not set {name}; make one without it: `dslnode ca issue NAME`")
    return {field: (value, file) for field, value in layer.items()}


def _check_code(ticket: Layer, given: Layer) -> None:
    """Raise ``SettingsError`` if a ticket chooses code to be run, and the board itself has not allowed it.

    Names that installed packages have registered are no such choice: the board's owner installed them.
    """
    allowed = given.get("allow_code_from_ticket", (False, ""))[0]
    with contextlib.suppress(ValidationError):  # which a check of all settings explains
        if TypeAdapter(bool).validate_python(allowed):
            return
    for field in CODE_SETTINGS:
        value, file = ticket.get(field, ("", ""))
        if field not in given and names_code(field, value):
            raise SettingsError(
                f"{field} = {value!r} (from {file}): names code, and a ticket may not choose what code a board runs; "
                f"give --{field} {value} on the board, or --allow-code-from-ticket if you trust who wrote the ticket"
            )


def names_code(field: str, value: str) -> bool:
    """Return whether a setting of ``CODE_SETTINGS`` has a value that is imported and called."""
    if field != "data" or ":" not in value:
        return ":" in value
    from dslnode.data.dataset import names_code  # loads numpy

    return names_code(value)


def _from_environment(environment: Mapping[str, str]) -> Layer:
    given = {
        name.removeprefix(PREFIX).lower(): (value, name)
        for name, value in environment.items()
        if name.startswith(PREFIX) and name != f"{PREFIX}CONFIG"
    }
    _check_names(given, "the environment", PREFIX)
    return given


def _check_names(given: Mapping[str, object], source: str, prefix: str = "") -> None:
    for name in given:
        if name not in Settings.model_fields:
            written = prefix + (name.upper() if prefix else name)
            matches = difflib.get_close_matches(name, Settings.model_fields, 1)
            nearest = prefix + (matches[0].upper() if prefix else matches[0]) if matches else ""
            hint = f"did you mean {nearest}?" if matches else "`dslnode config --show` lists all settings"
            raise SettingsError(f"{source}: there is no setting {written}; {hint}")


def _preset(given: Mapping[str, tuple[Any, str]]) -> Layer:
    name = given["algorithm"][0] if "algorithm" in given else "default"
    preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
    return {field: (value, f"preset {name}") for field, value in preset.items()}


def _message(error_type: str, message: str, field: str) -> str:
    """Return an error message: our own checks say what to write instead, others get the setting's meaning added."""
    if error_type == "value_error":
        return message.removeprefix("Value error, ")
    if error_type == "string_pattern_mismatch":
        message = PATTERNS.get(field, message)
    return f"{message}; it means: {describe(field)}" if field in Settings.model_fields else message


def _explain(error: ValidationError, merged: Mapping[str, tuple[Any, str]]) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        message = _message(problem["type"], problem["msg"], field)
        if field in merged:
            value, origin = merged[field]
            lines.append(f"{field} = {value!r} (from {origin}): {message}")
        elif field:
            lines.append(f"{field} (default): {message}; set it with --{field.replace('_', '-')}")
        else:
            lines.append(message)
    return "\n".join(lines)
