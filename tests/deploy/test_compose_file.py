"""The testbed's compose file as far as it can be checked without a container engine."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RUNNING = 'echo started with "$(cat "$DSLNODE_TICKET")" in "$DSLNODE_STATE_DIR"; exec sleep 60'


@pytest.fixture
def services() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = parsed["services"]
    return found


def test_a_host_name_is_the_services_own(services: dict[str, Any]) -> None:
    """A host name is a network alias: another service with it would be scraped and dialled in its place."""
    assert all(service.get("hostname", name) == name for name, service in services.items())


def test_one_service_builds_the_image_and_no_other_names_another(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "build" in service] == ["tickets"]
    own = {name for name, service in services.items() if service["image"] == "dslnode:testbed"}
    assert {name for name in services if name.startswith("node-")} | {"alone", "extra", "tickets"} == own


def test_every_volume_is_named_so_that_down_removes_it(services: dict[str, Any]) -> None:
    for service in services.values():
        for volume in service.get("volumes", ()):
            assert not volume.startswith("/"), f"{volume} is anonymous"


def start(script: str, directory: Path) -> subprocess.Popen[str]:
    """Run the entrypoint of an extra in place of a container: its paths below ``directory``, a false ``dslnode``.

    What is a container's own, its ``/tmp`` with the ticket that it took, is a new directory.
    """
    script = script.replace("$$", "$").replace("/tickets/", f"{directory}/tickets/")
    script = script.replace("/var/lib/dslnode/", f"{directory}/state/")
    own = tempfile.mkdtemp(dir=directory)
    environment = {"PATH": f"{directory}/bin:{os.environ['PATH']}", "DSLNODE_TICKET": f"{own}/ticket"}
    command = ["sh", "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_an_extra_takes_a_ticket_that_no_running_one_has(services: dict[str, Any], tmp_path: Path) -> None:
    for name in ("tickets", "state", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "dslnode").write_text(f"#!/bin/sh\n{RUNNING}\n")
    (tmp_path / "bin" / "dslnode").chmod(0o755)
    for number in (1, 2):
        (tmp_path / "tickets" / f"extra-{number}.ticket").write_text(str(number))
    script = services["extra"]["entrypoint"][-1]
    first, second, third = (start(script, tmp_path) for _ in range(3))
    lines = {process.pid: said(process) for process in (first, second, third)}
    try:
        full = [process for process in (first, second, third) if "all tickets are in use" in lines[process.pid]]
        assert [process.wait(10) for process in full] == [0], lines
        left, stays = (process for process in (first, second, third) if process not in full)
        assert {lines[p.pid].rpartition("/")[2] for p in (left, stays)} == {"extra-1", "extra-2"}
        left.kill()
        left.wait(10)
        again = start(script, tmp_path)
        lines[again.pid] = said(again)
        assert lines[again.pid] == lines[left.pid], "the ticket of the one that left, with its state"
        again.kill()
        again.wait(10)
    finally:
        for process in (first, second, third):
            process.kill()
            process.wait(10)
