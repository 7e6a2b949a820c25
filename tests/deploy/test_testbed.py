"""The testbed of docker-compose.yml, for real: built, started, a node killed and brought back, one added, all ended.

``make test-containers`` with a container engine. DOCKER names the client; IMAGE_READY=1 says that the image
``dslnode:testbed`` is built already. Grafana is left out where its image is not there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = os.environ.get("DOCKER", "docker")
BOARDS = [f"node-{number}" for number in range(1, 7)]
DEADLINE = 900.0

pytestmark = pytest.mark.containers


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [DOCKER, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False, cwd=ROOT)


def compose(*arguments: str) -> str:
    done = docker("compose", "--project-name", "dslnode-test", *arguments)
    assert done.returncode == 0, f"docker compose {' '.join(arguments)}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def missing() -> str | None:
    """Return why the testbed cannot run here, or None."""
    if shutil.which(DOCKER) is None:
        return "no container client (docker)"
    if docker("info", "--format", "{{.ServerVersion}}").returncode:
        return "no container engine answers; start one, or name it with DOCKER_HOST"
    if docker("compose", "version").returncode:
        return "the container client has no compose plugin"
    return None


def status(service: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(compose("exec", "-T", service, "dslnode", "status", "--json", "--timeout", "60"))
    return found


def query(expression: str) -> str:
    return compose("exec", "-T", "prometheus", "promtool", "query", "instant", "http://127.0.0.1:9090", expression)


def wait_until(what: str, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < deadline, f"not within {DEADLINE:.0f} s: {what}\n{compose('ps', '--all')}"
        time.sleep(2)


def health(service: str) -> set[str]:
    listed = [json.loads(line) for line in compose("ps", "--all", "--format", "json", service).splitlines()]
    return {container["Health"] for container in listed}


@pytest.fixture(scope="module")
def testbed() -> Iterator[list[str]]:
    """Everything up and ready; the names of the services."""
    if (why := missing()) is not None:
        pytest.skip(why)
    if os.environ.get("IMAGE_READY") != "1":
        compose("build", "tickets")
    services = [*BOARDS, "alone", "prometheus"]
    if docker("image", "inspect", "grafana/grafana:11.6.0").returncode == 0:
        services.append("grafana")
    try:
        compose("up", "--detach", "--no-build", *services)
        for service in services:
            wait_until(f"{service} is ready", lambda service=service: health(service) == {"healthy"})  # type: ignore[misc]
        yield services
    finally:
        compose("--profile", "*", "down", "--volumes", "--timeout", "5")


def test_the_image_holds_no_compiler_and_its_user_writes_to_state_alone(testbed: list[str]) -> None:
    assert "node-1" in testbed
    look = "id -u; for tool in cc gcc g++ clang make ld; do command -v $tool; done; "
    look += "touch /usr/here /opt/dslnode/here /tickets/here 2>/dev/null; touch /var/lib/dslnode/here && echo state"
    assert compose("exec", "-T", "node-1", "sh", "-c", look).split() == ["7711", "state"]


def test_every_board_learns_and_talks_with_its_neighbours(testbed: list[str]) -> None:
    assert set(BOARDS) <= set(testbed)
    for board in BOARDS:
        wait_until(f"{board} does rounds", lambda board=board: status(board)["round"] >= 2)  # type: ignore[misc]
        found = status(board)
        assert found["name"] == board
        assert all(neighbour["connected"] for neighbour in found["neighbours"]), found["neighbours"]


def test_prometheus_scrapes_all_boards_and_sees_one_network(testbed: list[str]) -> None:
    assert "prometheus" in testbed
    wait_until("all boards are scraped", lambda: "=> 6 @" in query('sum(up{job="dslnode"})'))
    wait_until("the one without neighbours, too", lambda: "=> 1 @" in query('up{job="dslnode-alone"}'))
    wait_until("one component", lambda: "=> 1 @" in query('dslnode:components{run="testbed"}'))


def test_each_target_is_one_board_whose_rounds_never_jump_back(testbed: list[str]) -> None:
    assert "alone" in testbed
    wait_until("some scrapes", lambda: "=> 7 @" in query("count(count_over_time(dslnode_round[5m]) > 5)"))
    assert "=> 0 @" in query("max(resets(dslnode_rounds_finished_total[5m]))")
    for board in BOARDS:
        assert "=> 1 @" in query(f'count(dslnode_info{{instance="{board}:9464", run="testbed", name="{board}"}})')


def test_a_killed_board_is_missed_and_comes_back_where_it_was(testbed: list[str]) -> None:
    assert "node-3" in testbed
    before = status("node-3")["round"]
    compose("kill", "node-3")
    link = 'dslnode_neighbour_up{instance="node-2:9464", neighbour="node-3"}'
    wait_until("its neighbour misses it", lambda: "=> 0 @" in query(link))
    wait_until("Prometheus misses it", lambda: "=> 0 @" in query('up{instance="node-3:9464"}'))
    compose("start", "node-3")
    wait_until("its neighbour has it back", lambda: "=> 1 @" in query(link))
    assert status("node-3")["round"] >= before - 1  # the round that was under way is done anew


def test_a_further_board_joins_by_one_address(testbed: list[str]) -> None:
    before = compose("ps", "--quiet", *testbed).split()
    compose("up", "--detach", "--no-build", "--scale", "extra=1", *testbed, "extra")
    assert compose("ps", "--quiet", *testbed).split() == before, "the others go on as they are"
    wait_until("it is ready", lambda: health("extra") == {"healthy"})
    wait_until(
        "node-1 knows it",
        lambda: any(n["connected"] and n["name"] == "extra-1" for n in status("node-1")["neighbours"]),
    )
    wait_until("Prometheus found it", lambda: "=> 1 @" in query('sum(up{job="dslnode-extra"})'))


def test_tickets_of_boards_that_left_are_taken_again(testbed: list[str]) -> None:
    for count in (3, 0, 2):
        compose("up", "--detach", "--no-build", "--scale", f"extra={count}", *testbed, "extra")
        wait_until(
            f"{count} more are ready",
            lambda count=count: (
                compose("ps", "--quiet", "extra").count("\n") == count  # type: ignore[misc]
                and health("extra") <= {"healthy"}
            ),
        )
