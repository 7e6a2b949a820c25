"""The directory of a testbed: tickets that hold, places that are free, and a second start on the same one."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from dslnode.cli import testbed_plan
from dslnode.cli.testbed_plan import RUN_ID, WAIT_SECONDS, Place, loopback_places, plan_testbed
from dslnode.config.settings import Settings
from dslnode.errors import ListenError, SettingsError
from dslnode.runtime.prepare import open_tunnels
from dslnode.security.ticket import read_ticket
from dslnode.simulation.topology import ring

COMMON = Settings(data="digits", split="classes:4", rounds=3, local_steps=7)
PLACES = [Place("127.0.0.1", 20_000 + number, 21_000 + number) for number in range(3)]


def test_every_node_has_a_ticket_of_one_authority_and_settings_of_its_own(tmp_path: Path) -> None:
    nodes = plan_testbed(tmp_path / "bed", COMMON, ring(3), PLACES)
    assert [node.name for node in nodes] == ["node-1", "node-2", "node-3"]
    for number, node in enumerate(nodes):
        settings = node.settings
        assert settings.run_id == RUN_ID
        assert (settings.rounds, settings.local_steps, settings.split) == (3, 7, "classes:4")
        assert settings.share == f"{number + 1}/3"
        assert settings.listen == settings.advertise == PLACES[number].address
        assert set(settings.peers) == {place.address for place in PLACES if place is not PLACES[number]}
        assert settings.wait_for_peers == WAIT_SECONDS
        assert open_tunnels(settings) is not None, "the ticket is good, and of this name"
        assert stat.S_IMODE((node.directory / "ticket").stat().st_mode) == 0o600
    assert len({read_ticket(node.directory / "ticket").authority for node in nodes}) == 1


def test_what_the_user_chose_to_wait_holds(tmp_path: Path) -> None:
    settings = COMMON.model_copy(update={"wait_for_peers": 5.0})
    assert plan_testbed(tmp_path, settings, ring(3), PLACES)[0].settings.wait_for_peers == 5.0


def test_prometheus_finds_all_nodes_by_file_discovery(tmp_path: Path) -> None:
    plan_testbed(tmp_path, COMMON, ring(3), PLACES)
    found = json.loads((tmp_path / "prometheus" / "targets.json").read_text())
    assert found == [{"targets": ["127.0.0.1:21000", "127.0.0.1:21001", "127.0.0.1:21002"]}]
    assert "targets.json" in (tmp_path / "prometheus" / "prometheus.yml").read_text()


def test_a_second_start_takes_the_tickets_that_are_there_and_makes_those_that_are_missing(tmp_path: Path) -> None:
    first = plan_testbed(tmp_path, COMMON, ring(3), PLACES)
    before = [read_ticket(node.directory / "ticket") for node in first]
    (first[1].directory / "ticket").unlink()
    second = plan_testbed(tmp_path, COMMON, ring(4), [*PLACES, Place("127.0.0.1", 20_100, 21_100)])
    after = [read_ticket(node.directory / "ticket") for node in second]
    assert after[0] == before[0]
    assert after[1].node_id == before[1].node_id
    assert after[1].certificate != before[1].certificate
    assert len({ticket.node_id for ticket in after}) == 4


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file/bed: cannot be used"):
        plan_testbed(tmp_path / "file" / "bed", COMMON, ring(3), PLACES)


def test_places_are_all_different_and_too_few_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    places = loopback_places(40)
    ports = {port for place in places for port in (place.port, place.metrics_port)}
    assert len(ports) == 80
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))

    def none_free(_count: int) -> list[int]:
        raise OSError("no port is free")

    monkeypatch.setattr(testbed_plan, "free_ports", none_free)
    with pytest.raises(ListenError, match="80 ports are needed"):
        loopback_places(40)
