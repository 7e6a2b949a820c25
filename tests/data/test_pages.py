"""The pages about kinds of data: their examples run, in their order, as a user types them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import ROOT, program

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "data").glob("*.md"))
SHORT = ("--rounds", "1", "--listen", "127.0.0.1:0", "--metrics", "off")
"""What a reader need not type: a node of the tests ends by itself, and takes no port that another has."""


def commands(page: str) -> list[list[str]]:
    """Return the command lines of a page's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("dslnode ")]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(tmp_path: Path, page: str) -> None:
    subprocess.run([sys.executable, "-c", program(page)], cwd=tmp_path, check=True, timeout=120)
    for words in commands(page):
        line, target = (words[: words.index(">")], words[-1]) if ">" in words else (words, "")
        more = SHORT if line[1] == "start" else ()
        done = subprocess.run(
            [sys.executable, "-m", *line, *more], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        if target:
            (tmp_path / target).write_text(done.stdout, encoding="utf-8")


def test_every_page_shows_something_to_run() -> None:
    assert len(PAGES) == 7
    assert all(commands(page) for page in PAGES)
