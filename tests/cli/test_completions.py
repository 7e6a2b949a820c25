"""Completion as shells really do it: bash, zsh and fish are run with the script that ``--show-completion`` prints."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dslnode.cli.daemon_process import clean_environment
from tests.terminal import Terminal

SECONDS = 60
SHOW = 'eval "$(dslnode --show-completion)"'


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A search path on which ``dslnode`` is this one."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "dslnode"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dslnode "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


def completions_of(shell: list[str], script: str, path: str) -> list[str]:
    done = subprocess.run(
        [*shell, script],
        env={**clean_environment(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return done.stdout.split()


def in_bash(path: str, *words: str) -> list[str]:
    """Return what bash offers for the last of the words, by the function that it has for the command."""
    line = " ".join(f"'{word}'" for word in ("dslnode", *words))
    script = f"""
        {SHOW}
        function=$(complete -p dslnode | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
        COMP_WORDS=({line}); COMP_CWORD={len(words)}
        $function dslnode; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return completions_of(["bash", "--norc", "-c"], script, path)


@needs("bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sta"], {"start", "status"}),
        (["start", "--local-st"], {"--local-steps"}),
        (["start", "--algorithm", ""], {"default", "authors"}),
        (["start", "--exchange", "s"], {"sign"}),
        (["config", "--ini"], {"--init"}),
        (["top", "--js"], {"--json"}),
        (["doctor", "--log-level", "w"], {"warning"}),
    ],
)
def test_bash_completes(path: str, words: list[str], offered: set[str]) -> None:
    assert set(in_bash(path, *words)) == offered


@needs("fish")
def test_fish_completes(path: str) -> None:
    script = "dslnode --show-completion | source; complete -C 'dslnode sta'; complete -C 'dslnode start --exchange s'"
    offered = completions_of(["fish", "--no-config", "-c"], script, path)
    assert {"start", "status", "sign"} <= set(offered)


@needs("zsh", "tmux")
def test_zsh_completes_when_tab_is_pressed(path: str, tmp_path: Path) -> None:
    (tmp_path / ".zshrc").write_text(f"PATH={path}\nPS1='ready> '\nautoload -U compinit; compinit -u\n{SHOW}\n")
    terminal = Terminal(tmp_path / "tmux", ["env", f"ZDOTDIR={tmp_path}", "zsh", "-i"])
    try:
        terminal.wait_for("ready>")
        terminal.press("dslnode top --addr", "Tab")
        terminal.wait_for("dslnode top --address")
    finally:
        terminal.close()
