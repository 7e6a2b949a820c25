"""What ``--help`` shows: sections, examples, exit codes, all of which must stay true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import cast

import pytest
from typer.main import get_command

from dslnode.cli.completions import choices, is_closed
from dslnode.cli.help import EXAMPLES, EXIT_CODES
from dslnode.cli.late_commands import LATE, LateGroup
from dslnode.cli.main import app
from dslnode.config.settings import SECTIONS, Settings, section_of
from dslnode.errors import ExitCode
from tests.cli.test_main import run

ROOT = Path(__file__).parents[2]
GROUP = cast(LateGroup, get_command(app))
COMMANDS = sorted(GROUP.list_commands(None))


def helped(*command: str) -> str:
    return run(*command, "--help", COLUMNS="100").stdout


def test_every_exit_code_is_explained_in_help_and_documentation() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    described = {code for codes in re.findall(r"^\| ([0-9, ]+) \|", page, re.MULTILINE) for code in codes.split(", ")}
    for code in ExitCode:
        assert EXIT_CODES[str(code.value)]
        assert str(code.value) in described
    assert len(EXIT_CODES) == len(ExitCode)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_and_exit_codes(command: str) -> None:
    text = helped(command)
    assert "Examples:\n" in text
    assert "Exit codes:\n" in text
    assert f"  dslnode {command}" in text.partition("Examples:")[2]


def test_a_simulation_ends_by_itself_and_has_forms_of_the_personal_model() -> None:
    text = " ".join(helped("simulate").split())
    assert "Rounds of every node. Default: 20, or up to 10,000 where --until is given." in text
    assert "until stopped" not in text
    assert "--personal binary|levels|graded" in text


@pytest.mark.parametrize("command", ["dslnode", *COMMANDS])
def test_examples_use_commands_and_options_that_there_are(command: str) -> None:
    text = EXAMPLES[command].replace("\\\n", " ")
    calls = [shlex.split(line, comments=True) for line in text.splitlines() if "dslnode" in line.partition("#")[0]]
    assert calls
    for words in calls:
        name = words[words.index("dslnode") + 1]
        called = GROUP.get_command(None, name)
        called = called.commands[words[words.index(name) + 1]] if hasattr(called, "commands") else called
        options = {option for parameter in called.params for option in parameter.opts}
        used = words[: words.index("|")] if "|" in words else words
        assert {word for word in used if word.startswith("--")} <= options, words


def test_commands_that_are_loaded_late_are_there() -> None:
    assert all(GROUP.get_command(None, name).name == name for name in LATE)
    assert GROUP.get_command(None, "fly") is None


def test_options_of_start_stand_in_sections_in_their_order() -> None:
    text = helped("start")
    places = [text.index(f"\n{title}:\n") for title in SECTIONS.values()]
    assert places == sorted(places)
    for name in Settings.model_fields:
        section = text.index(f"\n{section_of(name)}:\n")
        assert section < text.index(f"  --{name.replace('_', '-')} ")


def test_sections_begin_at_settings_that_there_are() -> None:
    assert SECTIONS.keys() <= Settings.model_fields.keys()
    assert next(iter(Settings.model_fields)) in SECTIONS, "the first setting has a section"


def test_help_fits_on_a_terminal() -> None:
    for command in COMMANDS:
        for line in run(command, "--help", COLUMNS="80").stdout.splitlines():
            assert len(line) <= 100, line


def test_choices_are_those_that_settings_take() -> None:
    assert choices("exchange") == ("keep", "sign", "both")
    assert choices("log_format") == ("text", "json")
    assert is_closed("algorithm")
    assert not is_closed("model")
    assert "mlp" in choices("model")
    assert choices("name") == ()
    assert "[default: 10]" in helped("start")
    assert "--exchange keep|sign|both" in helped("start")
