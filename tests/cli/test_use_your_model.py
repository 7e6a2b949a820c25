"""The page about using a model: its commands run, in their order, as a user types them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.test_pages import commands
from tests.examples import program

PAGE = "docs/use-your-model.md"
ELSEWHERE = ("--listen", "127.0.0.1:0", "--metrics", "off")
"""A node of the tests takes no port that another has."""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
def test_the_examples_run(tmp_path: Path) -> None:
    lines = commands(PAGE)
    assert len(lines) >= 4
    for line in lines:
        more = ELSEWHERE if line[1] == "start" else ()
        done = subprocess.run(
            [sys.executable, "-m", *line, *more], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
    done = subprocess.run(
        [sys.executable, "-c", program(PAGE)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout
    compile_line = ["gcc", "-std=c99", "-O2", "model.c", "test.c", "-lm", "-o", "test"]
    subprocess.run(compile_line, cwd=tmp_path / "digits-c", check=True)
    tried = subprocess.run([tmp_path / "digits-c" / "test"], capture_output=True, text=True, check=True)
    assert "10 of 10 rows as expected" in tried.stdout
