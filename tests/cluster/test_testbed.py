"""``dslnode testbed`` as a user runs it: real daemons that share memory, are killed, start again, and all end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from dslnode.cli.testbed import clean_environment
from dslnode.cli.testbed_fork import private_bytes
from dslnode.cli.testbed_hosts import BRIDGE, NAMESPACES
from dslnode.cli.testbed_log import progress_of
from tests.chaos.namespaces import missing

DEADLINE = 120.0
MAX_PRIVATE_BYTES = 60_000_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


class Bed:
    """A testbed that runs, followed by what it prints."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.lines: list[str] = []
        command = [sys.executable, "-m", "dslnode", "testbed", "--dir", str(directory), "--local-steps", "5", *options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(),
            start_new_session=True,
        )
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def pid(self, number: int) -> int:
        """Return the process id of a node that runs."""
        return int((self.directory / f"node-{number}" / "pid").read_text())

    def round(self, number: int) -> int:
        """Return the last round that a node has finished."""
        return progress_of(self.directory / f"node-{number}" / "log").round

    def wait_until(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait until something holds; it is looked at again whenever a line is printed, and ten times a second."""
        deadline = time.monotonic() + DEADLINE
        with self._changed:
            while not happened():
                assert self.process.poll() is None, f"ended before {what}:\n{self.output}"
                assert time.monotonic() < deadline, f"not within {DEADLINE:.0f} s: {what}\n{self.output}"
                self._changed.wait(0.1)

    def has_said(self, text: str) -> bool:
        """Return whether a line that was printed has this text."""
        return any(text in line for line in self.lines)

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if any, and return the exit code once it has ended."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    @property
    def output(self) -> str:
        """All that it printed."""
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()


@contextmanager
def running_bed(directory: Path, *options: str) -> Iterator[Bed]:
    bed = Bed(directory, *options)
    try:
        yield bed
    finally:
        if bed.process.poll() is None:
            bed.process.kill()
        bed.end()


def processes_of(directory: Path) -> list[int]:
    """Return the processes whose log is in the directory: those that have it as standard error."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(entry / "fd" / "2")).is_relative_to(directory):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_eight_daemons_learn_share_memory_and_end_by_themselves(tmp_path: Path) -> None:
    with running_bed(tmp_path, "--nodes", "8", "--rounds", "3", "--evaluate-every", "1", "--split", "classes:6") as bed:
        bed.wait_until("all have finished a round", lambda: all(bed.round(number) >= 1 for number in range(1, 9)))
        memory = [private_bytes(pid) for pid in processes_of(tmp_path)]
        assert bed.end() == 0, bed.output
    assert len(memory) > 4
    assert max(memory) < MAX_PRIVATE_BYTES
    assert bed.has_said("0 run, 8 have finished: round 3, accuracy")
    assert processes_of(tmp_path) == []
    assert not list(tmp_path.glob("node-*/pid"))
    for number in range(1, 9):
        assert progress_of(tmp_path / f"node-{number}" / "log").score is not None
        assert (tmp_path / f"node-{number}" / "state" / "state").exists()
    targets = json.loads((tmp_path / "prometheus" / "targets.json").read_text())[0]["targets"]
    assert len(set(targets)) == 8
    page = (tmp_path / "page.html").read_text()
    assert all(f"<td>node-{number}</td>" in page for number in range(1, 9))
    assert (tmp_path / "page.log").read_text() == ""


def test_a_killed_node_is_missed_and_the_others_go_on(tmp_path: Path) -> None:
    with running_bed(tmp_path, "--nodes", "3", "--topology", "ring") as bed:
        bed.wait_until("all do rounds", lambda: all(bed.round(number) >= 1 for number in (1, 2, 3)))
        os.kill(bed.pid(2), signal.SIGKILL)
        bed.wait_until("the death is said", lambda: bed.has_said("node-2 was killed by SIGKILL\n"))
        before = bed.round(1)
        bed.wait_until("a neighbour goes on", lambda: bed.round(1) >= before + 2)
        assert len(processes_of(tmp_path)) == 3, "two nodes and the page"
        os.kill(bed.pid(3), signal.SIGSTOP)  # a node that is paused must end, too
        assert bed.end(signal.SIGTERM) == 143
        assert bed.has_said("2 run, 0 have finished, 1 are missing")
    assert processes_of(tmp_path) == []


def test_with_restart_a_killed_node_goes_on_where_it_was(tmp_path: Path) -> None:
    with running_bed(tmp_path, "--nodes", "2", "--topology", "ring", "--restart") as bed:
        bed.wait_until("both do rounds", lambda: all(bed.round(number) >= 2 for number in (1, 2)))
        killed = bed.pid(2)
        os.kill(killed, signal.SIGKILL)
        bed.wait_until("it is said", lambda: bed.has_said("node-2 was killed by SIGKILL, and is started again"))
        before = bed.round(2)
        bed.wait_until("it does rounds again", lambda: bed.round(2) >= before + 2)
        assert bed.pid(2) != killed
        assert bed.end(signal.SIGINT) == 130
    assert processes_of(tmp_path) == []


def test_nodes_end_when_the_testbed_itself_is_killed(tmp_path: Path) -> None:
    with running_bed(tmp_path, "--nodes", "2", "--topology", "ring") as bed:
        bed.wait_until("both do rounds", lambda: all(bed.round(number) >= 1 for number in (1, 2)))
        assert len(processes_of(tmp_path)) == 3
        bed.process.kill()
        deadline = time.monotonic() + DEADLINE
        while processes_of(tmp_path):
            assert time.monotonic() < deadline
            os.sched_yield()


@pytest.mark.skipif(missing() is not None, reason=f"{missing()}")
def test_nodes_in_namespaces_of_their_own_learn_and_leave_none(tmp_path: Path) -> None:
    options = ("--nodes", "3", "--topology", "ring", "--namespaces")
    with running_bed(tmp_path, *options) as bed:
        bed.wait_until("all do rounds", lambda: all(bed.round(number) >= 2 for number in (1, 2, 3)))
        spaces = {os.readlink(f"/proc/{pid}/ns/net") for pid in map(bed.pid, (1, 2, 3))}
        assert len(spaces | {os.readlink("/proc/self/ns/net")}) == 4
        with running_bed(tmp_path / "other", *options) as other:
            assert other.end() == 2
        assert f"process {bed.process.pid} has a testbed with namespaces" in other.output
        targets = json.loads((tmp_path / "prometheus" / "targets.json").read_text())[0]["targets"]
        with urlopen(f"http://{targets[2]}/status.json", timeout=DEADLINE) as answer:
            assert json.load(answer)["name"] == "node-3"
        assert bed.end(signal.SIGTERM) == 143
    assert not list(NAMESPACES.glob(f"{BRIDGE}-*"))
    assert not Path("/sys/class/net", BRIDGE).exists()


def test_nodes_that_cannot_start_are_said_with_the_reason(tmp_path: Path) -> None:
    with running_bed(tmp_path, "--nodes", "2", "--data", "idx:/nowhere", "--restart", "--topology", "ring") as bed:
        assert bed.end() == 7
    assert bed.has_said("node-1 ended with exit code 3: dslnode: ")
    assert bed.has_said("/nowhere")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--nodes", "257"), "less than or equal to 256"),
        (("--nodes", "1"), "greater than or equal to 2"),
        (("--topology", "star"), "--topology star"),
    ],
)
def test_what_a_testbed_cannot_be_is_refused(tmp_path: Path, options: tuple[str, str], text: str) -> None:
    with running_bed(tmp_path / "bed", *options) as bed:
        assert bed.end() == 2
    assert text in bed.output
    assert not (tmp_path / "bed").exists()
