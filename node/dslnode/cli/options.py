"""One command-line option for every setting, documented by the settings themselves."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Container, Mapping
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

TOPOLOGY_HELP = (
    "Who is linked: ring, complete, erdos:DEGREE, geometric[:DEGREE], barabasi[:LINKS], or a file with two node "
    "numbers in each line."
)
Topology = Annotated[str, typer.Option(metavar="GRAPH", help=TOPOLOGY_HELP)]


def with_settings(
    command: Callable[..., None],
    *,
    examine: bool = False,
    without: Container[str] = (),
    described: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """Give a command one option for every setting, documented by the settings themselves, after those of its own.

    ``command`` takes the loaded settings, then its own options by name. The settings' text goes to ``loader.load``, so
    that a value means the same from every source; ``examine`` is passed on to it. The settings ``without`` get no
    option, nor do those whose name an option of the command has. ``described`` is the help of settings, with their
    defaults, that mean something else to the command than to a node.
    """
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    def run(config: Path | None = None, **options: Any) -> None:
        own_options = {parameter.name: options.pop(parameter.name) for parameter in own}
        given = {name: str(value) for name, value in options.items() if value is not None}
        command(load(given, os.environ, config, examine=examine), **own_options)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    parameters.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFile))
    taken = {parameter.name for parameter in own}
    texts = described or {}
    parameters += [
        _option(name, texts.get(name, ""))
        for name in Settings.model_fields
        if name not in without and name not in taken
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    return run


def _option(name: str, text: str) -> inspect.Parameter:
    """Return the option of a setting; ``text`` is its help, empty for that of the setting."""
    flag, section = name.replace("_", "-"), section_of(name)
    field = Settings.model_fields[name]
    if field.annotation is bool:
        option = typer.Option(f"--{flag}/--no-{flag}", help=describe(name), show_default=False, rich_help_panel=section)
        annotation: Any = Annotated[Optional[bool], option]  # noqa: UP045
    else:
        default = "" if field.default_factory or field.default in (None, "", (), {}) else f" [default: {field.default}]"
        values = choices(name)
        option = typer.Option(
            f"--{flag}",
            metavar="|".join(values) if is_closed(name) else "VALUE",
            help=text or describe(name) + default,
            rich_help_panel=section,
            autocompletion=lambda incomplete: [value for value in values if value.startswith(incomplete)],
        )
        annotation = Annotated[Optional[str], option]  # noqa: UP045
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
