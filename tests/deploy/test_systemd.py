"""The systemd unit: valid, hardened, and in step with what the daemon does."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dslnode.config.loader import load
from dslnode.errors import ExitCode
from dslnode.runtime.systemd import ServiceManager

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = SYSTEMD / "dslnode.service"
WORST_EXPOSURE = 1.5

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze (Debian: systemd) is not installed"
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def value(section: str, name: str) -> str:
    read = configparser.RawConfigParser(strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read(UNIT)
    return read[section][name]


@needs_systemd
def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    """The program is not installed where the tests run, so another one stands in for it."""
    there = tmp_path / UNIT.name
    there.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE))
    done = analyze("verify", there)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_the_unit_is_exposed_to_little() -> None:
    done = analyze("security", "--offline=true", UNIT)
    found = re.search(r"exposure level for dslnode.service: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= WORST_EXPOSURE


def test_exit_codes_after_which_trying_again_does_not_help_are_the_daemons() -> None:
    assert value("Service", "RestartPreventExitStatus").split() == [
        str(int(ExitCode.SETTINGS)),
        str(int(ExitCode.DATA)),
    ]
    assert value("Service", "SuccessExitStatus") == str(int(ExitCode.TERMINATED))


def test_the_daemon_gives_signs_of_life_often_enough() -> None:
    assert value("Service", "Type") == "notify"
    watchdog = float(value("Service", "WatchdogSec"))
    assert ServiceManager("/run/notify", watchdog).interval <= watchdog / 2


def test_the_log_goes_where_it_is_bounded() -> None:
    namespace = value("Service", "LogNamespace")
    bounds = (SYSTEMD / f"journald@{namespace}.conf").read_text()
    assert re.search(r"^SystemMaxUse=\d+M$", bounds, re.MULTILINE)


def test_the_settings_that_come_along_are_settings() -> None:
    assert load({}, {}, SYSTEMD / "node.toml").settings.peers
