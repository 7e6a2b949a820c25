"""Sensors of a made-up machine, and this one's clock and load."""

from __future__ import annotations

from pathlib import Path

from dslnode.runtime.host_sensors import charge, hottest, read_host_state


def sensor(zones: Path, number: int, text: str) -> None:
    zone = zones / f"thermal_zone{number}"
    zone.mkdir()
    (zone / "temp").write_text(text)


def test_the_hottest_sensor_that_makes_sense_counts(tmp_path: Path) -> None:
    for number, text in enumerate(("41500\n", "72250\n", "-274000\n", "999000\n", "broken\n", "")):
        sensor(tmp_path, number, text)
    assert hottest(tmp_path) == 72.25


def test_a_machine_without_sensors_has_no_temperature(tmp_path: Path) -> None:
    assert hottest(tmp_path) is None
    assert hottest(tmp_path / "missing") is None


def supply(supplies: Path, name: str, **texts: str) -> None:
    directory = supplies / name
    directory.mkdir()
    for file, text in texts.items():
        (directory / file).write_text(f"{text}\n")


def test_the_charge_is_the_mean_of_the_machines_own_batteries(tmp_path: Path) -> None:
    supply(tmp_path, "AC", type="Mains", online="1")
    supply(tmp_path, "BAT0", type="Battery", capacity="80")
    supply(tmp_path, "BAT1", type="Battery", capacity="103", scope="System")
    supply(tmp_path, "hid-mouse", type="Battery", capacity="5", scope="Device")
    supply(tmp_path, "broken", type="Battery", capacity="much")
    supply(tmp_path, "silent", type="Battery")
    assert charge(tmp_path) == 90.0


def test_a_machine_on_mains_alone_has_no_charge(tmp_path: Path) -> None:
    supply(tmp_path, "AC", type="Mains", online="1")
    assert charge(tmp_path) is None
    assert charge(tmp_path / "missing") is None


def test_this_machine_can_be_read() -> None:
    now = read_host_state()
    assert now.load >= 0
    assert 0 <= now.minute < 24 * 60
