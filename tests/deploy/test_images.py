"""Dockerfile and docker-compose.yml as they stand, without an engine: linted, and true to the project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dslnode import __version__
from dslnode.cli import healthcheck
from dslnode.config.loader import load

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = ROOT / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
BOARDS = {name: service for name, service in SERVICES.items() if re.fullmatch(r"node-\d", name)}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


def test_a_dockerfile_linter_has_nothing_to_say() -> None:
    done = run(str(Path(sys.executable).with_name("hadolint")), "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_follows_its_specification() -> None:
    check = str(Path(sys.executable).with_name("check-jsonschema"))
    done = run(check, "--builtin-schema", "vendor.compose-spec", COMPOSE.name)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker client")
def test_composes_own_reader_takes_it() -> None:
    if run("docker", "compose", "version").returncode:
        pytest.skip("this docker client has no compose plugin")
    done = run("docker", "compose", "config", "--quiet")
    assert done.returncode == 0, done.stderr


def test_the_image_is_labelled_with_this_version_and_runs_without_privileges() -> None:
    assert f'org.opencontainers.image.version="{__version__}"' in DOCKERFILE
    last = DOCKERFILE[DOCKERFILE.index(" AS runtime") :]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["7711:7711"]
    assert re.findall(r"^VOLUME (.*)$", last, re.MULTILINE) == ["/var/lib/dslnode"]


def test_the_image_gets_the_versions_that_are_tested() -> None:
    (torch,) = re.findall(r'^ARG TORCH="(.*)"$', DOCKERFILE, re.MULTILINE)
    assert torch in (ROOT / "constraints.txt").read_text().splitlines()
    assert DOCKERFILE.count("pip install --constraint constraints.txt") == 2


def test_image_and_testbed_ask_alike_whether_a_node_is_ready() -> None:
    """And wait for longer than the question itself does."""
    [(waits, asked)] = re.findall(r"^HEALTHCHECK .*--timeout=(\d+)s .*CMD (.*)$", DOCKERFILE, re.MULTILINE)
    for board in BOARDS.values():
        assert board["healthcheck"]["test"] == ["CMD", *json.loads(asked)]
        assert board["healthcheck"]["timeout"] == f"{waits}s"
    assert json.loads(asked)[-1] == healthcheck.__name__
    assert int(waits) > healthcheck.TIMEOUT_SECONDS


def test_no_package_index_is_named() -> None:
    for text in (DOCKERFILE, COMPOSE.read_text()):
        assert "://" not in re.sub(r"http://127\.0\.0\.1:\d+", "", text)


def test_six_boards_differ_in_data_keep_ratio_and_processor() -> None:
    assert len(BOARDS) == 6
    settings = [board["environment"] for board in BOARDS.values()]
    assert len({each["DSLNODE_SHARE"] for each in settings}) == 6
    assert len({each["DSLNODE_KEEP_RATIO"] for each in settings}) >= 4
    assert len({board["cpus"] for board in BOARDS.values()}) >= 3


@pytest.mark.parametrize("name", BOARDS)
def test_each_boards_environment_is_settings_and_its_peers_exist(name: str) -> None:
    assert BOARDS[name]["environment"]["DSLNODE_TICKET"] == f"/tickets/{name}.ticket"
    peers = load({}, environment(name), None).settings.peers
    assert {peer.removesuffix(":7711") for peer in peers} <= BOARDS.keys() - {name}


def test_one_board_learns_the_same_without_neighbours() -> None:
    """The local-only line of the dashboard: node-1 in all but its peers."""
    alone, board = (load({}, environment(name), None).settings for name in ("alone", "node-1"))
    assert (alone.run_id, alone.peers, alone.name) == ("testbed-alone", (), "node-1")
    same = {"run_id", "peers", "listen", "ticket", "name"}
    assert alone.model_dump(exclude=same) == board.model_dump(exclude=same)
    assert SERVICES["alone"]["cpus"] == BOARDS["node-1"]["cpus"]


def environment(name: str) -> dict[str, str]:
    given = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    given.pop("DSLNODE_TICKET", None)
    return given


def test_links_are_asked_for_by_both_ends_and_join_everybody() -> None:
    peers = {name: set(board["environment"]["DSLNODE_PEERS"].split(",")) for name, board in BOARDS.items()}
    links = {name: {peer.removesuffix(":7711") for peer in found} for name, found in peers.items()}
    assert all(name in links[peer] for name, found in links.items() for peer in found)
    reached = {"node-1"}
    for _ in BOARDS:
        reached |= {peer for name in reached for peer in links[name]}
    assert reached == BOARDS.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_runs_with_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "healthcheck" in service


def test_prometheus_scrapes_every_board() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "testbed.yml").read_text())
    targets = config["scrape_configs"][0]["static_configs"][0]["targets"]
    assert targets == [f"{name}:9464" for name in BOARDS]
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{file}" for file in config["rule_files"]} <= mounted
