"""A model from a running node, and from what it has saved; answers in a process without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dslnode.cli.daemon_process import clean_environment, command_line
from tests.cluster.processes import NodeProcess, free_port
from tests.networks import Operator


def run(*parts: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_line(*map(str, parts)),
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
        env=clean_environment(),
        check=False,
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a table as a user has one: names, units, text labels."""
    file = tmp_path_factory.mktemp("data") / "pump.csv"
    rows = ["temperature_c,vibration,rpm,state"]
    for number in range(300):
        worn = number % 3 == 0
        rows.append(
            f"{20 + number % 7 + 9 * worn},{100 + number % 11},{4000 + 13 * (number % 17)},{'worn' if worn else 'ok'}"
        )
    file.write_text("\n".join(rows) + "\n")
    return file


def test_a_model_is_exported_and_answers(table: Path, tmp_path: Path) -> None:
    port, state, file = free_port(), tmp_path / "state", tmp_path / "pump.dslm"
    data = f"csv:{table}?target=state"
    with NodeProcess("pump", port, "--data", data, "--state-dir", str(state)) as node:
        node.wait_for_round(12)
        asked = run("export", "--address", node.address, "--output", tmp_path / "asked.dslm")
        assert asked.returncode == 0, asked.stderr
        assert run("model", "verify", tmp_path / "asked.dslm").returncode == 0
    saved = run("export", "--state-dir", state, "--output", file)
    assert saved.returncode == 0, saved.stderr
    assert file.stat().st_size < 10_000
    shown = run("model", "show", file)
    assert "names          ok, worn" in shown.stdout
    judged = run("predict", file, "--data", data, "--score", "--format", "json")
    assert json.loads(judged.stdout)["accuracy"] > 0.9, judged.stderr
    unlabelled = tmp_path / "new.csv"
    unlabelled.write_text("rpm,temperature_c,vibration\n4100,33,104\n4050,21,103\n")
    answers = run("predict", file, "--data", f"csv:{unlabelled}", "--format", "json")
    assert [json.loads(line)["class"] for line in answers.stdout.splitlines()] == ["worn", "ok"], answers.stderr
    streamed = run("predict", file, "--data", "-", "--format", "json", given=unlabelled.read_text())
    assert streamed.stdout == answers.stdout, streamed.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint", "code"),
    [
        (("export", "-o", "x"), "give either --state-dir DIRECTORY or --address HOST:PORT", 2),
        (("export", "-o", "x", "--state-dir", "/nowhere"), "there is no such directory", 5),
        (("export", "-o", "x", "--address", "127.0.0.1:1"), "no dslnode answers", 6),
        (("model", "show", __file__), "is no model's file", 3),
        (("predict", __file__, "--data", "digits"), "is no model's file", 3),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: tuple[str, ...], complaint: str, code: int) -> None:
    done = run(*arguments)
    assert complaint in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)


def test_a_model_goes_to_its_own_ticket_alone(operator: Operator, tmp_path: Path) -> None:
    """From elsewhere than this machine, that is: here the other way in is closed for the test."""
    program = (
        "import dslnode.transport.server as s, sys; s.is_loopback = lambda host: False;"
        "from dslnode.cli.main import main; sys.argv[0] = 'dslnode'; main()"
    )
    port, own, other = free_port(), operator.ticket("own"), operator.ticket("other")
    command = [sys.executable, "-c", program, "start", "--ticket", str(own), "--listen", f"127.0.0.1:{port}"]
    options = ["--metrics", "off", "--log-format", "json"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, env=clean_environment()) as node:
        try:
            assert node.stderr is not None
            assert any('"event": "round"' in line for line in node.stderr)
            asked = [
                run("export", "--address", f"127.0.0.1:{port}", "--ticket", ticket, "-o", tmp_path / "m.dslm")
                for ticket in (own, other)
            ]
        finally:
            node.kill()
    assert asked[0].returncode == 0, asked[0].stderr
    assert asked[1].returncode == 6
    assert "a model goes to its own node's ticket" in asked[1].stderr
