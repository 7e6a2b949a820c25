"""Forking after the imports: one thread at that time, and children that end by themselves, with a code, and alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dslnode.cli.daemon_process import clean_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

FORK = """
import os, sys, time
from pathlib import Path
from dslnode.cli.entry import process
from dslnode.cli.testbed_fork import fork, share_memory
from dslnode.errors import DataError

def fail():
    raise DataError("the data are missing")

def crash():
    raise ValueError("a fault")

def speak():
    print("said", os.getsid(0) == os.getpid())
    sys.exit(0)

with process():
    WORK
"""


def run(work: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in clean_environment().items() if not name.startswith(("OMP_", "OPENB"))}
    command = [sys.executable, "-c", FORK.replace("WORK", work), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)


def test_importing_what_nodes_need_starts_no_thread() -> None:
    done = run("share_memory(); print(len(os.listdir('/proc/self/task')), 'torch' in sys.modules)")
    assert done.stdout == "1 True\n", done.stderr


@pytest.mark.parametrize(
    ("work", "code", "words"),
    [
        ("fail", 3, "dslnode: the data are missing\n"),
        ("crash", 1, "ValueError: a fault\n"),
        ("speak", 0, "said True\n"),
    ],
)
def test_a_child_ends_with_its_own_code_and_speaks_to_its_log(tmp_path: Path, work: str, code: int, words: str) -> None:
    log = tmp_path / "log"
    done = run(
        f"pid = fork({work}, log=Path(sys.argv[1])); print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))", str(log)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{code}\n", "")
    assert log.read_text().endswith(words)
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_log_is_written_through_no_symbolic_link(tmp_path: Path) -> None:
    target = tmp_path / "other"
    target.write_text("")
    os.symlink(target, tmp_path / "log")
    done = run("os.waitpid(fork(speak, log=Path(sys.argv[1])), 0)", str(tmp_path / "log"))
    assert done.stdout == ""
    assert target.read_text() == ""
