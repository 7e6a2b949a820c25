"""One command-line option for every setting, documented by the settings themselves."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dslnode.cli.completions import choices, is_closed
from dslnode.config.loader import load
from dslnode.config.settings import Settings, describe, section_of

ConfigFile = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads the annotation)
    typer.Option("--config", metavar="FILE", envvar="DSLNODE_CONFIG", help="TOML file with settings."),
]


def with_settings(command: Callable[..., None], *, examine: bool = False) -> Callable[..., None]:
    """Give a command one option for every setting, documented by the settings themselves, after those of its own.

    ``command`` takes what is loaded, then its own options by name. The settings' text is handed to ``sources.load``,
    so that a value means the same wherever it comes from; ``examine`` is handed on to it.
    """
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    def run(config: Path | None = None, **options: Any) -> None:
        mine = {parameter.name: options.pop(parameter.name) for parameter in own}
        given = {name: str(value) for name, value in options.items() if value is not None}
        command(load(given, os.environ, config, examine=examine), **mine)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    parameters.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFile))
    parameters += [_option(name) for name in Settings.model_fields]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    return run


def _option(name: str) -> inspect.Parameter:
    flag, section = name.replace("_", "-"), section_of(name)
    field = Settings.model_fields[name]
    if field.annotation is bool:
        option = typer.Option(f"--{flag}/--no-{flag}", help=describe(name), show_default=False, rich_help_panel=section)
        annotation: Any = Annotated[Optional[bool], option]  # noqa: UP045
    else:
        shown = "" if field.default_factory or field.default in (None, "", (), {}) else f" [default: {field.default}]"
        known = choices(name)
        option = typer.Option(
            f"--{flag}",
            metavar="|".join(known) if is_closed(name) else "VALUE",
            help=describe(name) + shown,
            rich_help_panel=section,
            autocompletion=lambda incomplete: [one for one in known if one.startswith(incomplete)],
        )
        annotation = Annotated[Optional[str], option]  # noqa: UP045
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
