"""``dslnode testbed`` as a user runs it: real daemons that share memory, are killed, start again, and all end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from dslnode.cli.testbed_fork import private_bytes
from dslnode.cli.testbed_hosts import BRIDGE, NAMESPACES
from dslnode.cli.testbed_log import progress_of
from tests.chaos.namespaces import missing
from tests.cluster.beds import DEADLINE, Bed, processes_of, running_bed

MAX_PRIVATE_BYTES = 60_000_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def weighed(directory: Path, memory: dict[int, int]) -> bool:
    """Note the private bytes of all daemons that run now; return True."""
    for pid in processes_of(directory):
        with contextlib.suppress(OSError):  # one that has just ended
            memory[pid] = private_bytes(pid)
    return True


def have_finished_a_round(bed: Bed) -> bool:
    return all(bed.round(number) >= 1 for number in range(1, 9))


def test_eight_daemons_learn_share_memory_and_end_by_themselves(tmp_path: Path) -> None:
    with running_bed(tmp_path, "--nodes", "8", "--rounds", "3", "--evaluate-every", "1", "--split", "classes:6") as bed:
        memory: dict[int, int] = {}
        bed.wait_until("all have finished a round", lambda: weighed(tmp_path, memory) and have_finished_a_round(bed))
        assert bed.end() == 0, bed.output
    assert len(memory) >= 8  # what they are forked from, too
    assert max(memory.values()) < MAX_PRIVATE_BYTES
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


def test_a_second_testbed_in_the_same_directory_leaves_the_first_as_it_is(tmp_path: Path) -> None:
    with running_bed(tmp_path, "--nodes", "2", "--topology", "ring") as bed:
        bed.wait_until("both do rounds", lambda: all(bed.round(number) >= 1 for number in (1, 2)))
        targets = (tmp_path / "prometheus" / "targets.json").read_bytes()
        pids = [bed.pid(number) for number in (1, 2)]
        with running_bed(tmp_path, "--nodes", "3", "--topology", "ring") as second:
            assert second.end() == 5
        assert second.has_said(f"another testbed (process {bed.process.pid}) is using it")
        assert [bed.pid(number) for number in (1, 2)] == pids
        assert (tmp_path / "prometheus" / "targets.json").read_bytes() == targets
        assert not (tmp_path / "node-3").exists()
        assert bed.end(signal.SIGTERM) == 143
    assert not bed.has_said("ended with exit code")


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
