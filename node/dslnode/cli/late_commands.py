"""Commands of ``dslnode`` whose modules are loaded when they are asked for, and not before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.main import get_command

from dslnode.cli.help import GroupHelp

LATE = {
    "start": "node_commands",
    "config": "node_commands",
    "ca": "ca",
    "data": "data",
    "model": "model",
    "doctor": "node_commands",
    "simulate": "simulate_command",
    "testbed": "testbed_command",
}
"""The module of ``dslnode.cli`` in which each is found; a command beside others, or all that the module has."""


class LateGroup(GroupHelp):
    """The group of all commands: those above, then those that it was made with."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        return [*LATE, *(name for name in super().list_commands(ctx) if name not in LATE)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name, loaded now if it has not been; None if there is none."""
        if cmd_name in LATE and cmd_name not in self.commands:
            self.commands[cmd_name] = _loaded(cmd_name)
        return super().get_command(ctx, cmd_name)


def _loaded(name: str) -> Any:
    above = typer.Typer(add_completion=False, rich_markup_mode=None)
    above.add_typer(import_module(f"dslnode.cli.{LATE[name]}").app)
    group: Any = get_command(above)
    return group.commands[name]
