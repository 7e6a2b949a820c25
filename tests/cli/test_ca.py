"""``dslnode ca`` as an operator uses it, and what ``dslnode start`` says without a ticket."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dslnode.cli.ca import app
from dslnode.config.loader import load
from dslnode.data.schema_file import read_schema
from dslnode.errors import DataError, ExitCode, SettingsError
from dslnode.security.ticket import read_ticket
from tests.cli.test_main import complaint


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ca(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is not None:
        raise done.exception
    return done.output


def test_two_commands_make_all_that_a_board_needs() -> None:
    ca("init", "--run-id", "greenhouse")
    ca("issue", "board-1", "--address", "10.0.0.1:7711")
    output = ca("issue", "board-7", "--set", "share=7/20", "--set", "local-steps=5", "--days", "30")
    file = Path("board-7.ticket")
    assert file.stat().st_mode & 0o077 == 0
    assert read_ticket(file).node_id in output
    settings = load({"ticket": str(file)}, {}, None).settings
    assert (settings.name, settings.run_id, settings.share) == ("board-7", "greenhouse", "7/20")
    assert (settings.listen, settings.peers, settings.local_steps) == ("0.0.0.0:7711", ("10.0.0.1:7711",), 5)


def test_a_schema_goes_into_the_ticket_itself() -> None:
    ca("init")
    Path("pump.toml").write_text('task = "anomaly"\nclasses = ["gut", "gestört"]\n', encoding="utf-8")
    ca("issue", "board-7", "--set", "schema=pump.toml")
    Path("pump.toml").unlink()
    settings = load({"ticket": "board-7.ticket"}, {}, None).settings
    assert read_schema(settings.schema).classes == ("gut", "gestört")
    with pytest.raises(DataError, match=r"pump\.toml: cannot be read"):
        ca("issue", "board-8", "--set", "schema=pump.toml")


def test_a_setting_that_toml_cannot_hold_is_refused() -> None:
    ca("init")
    with pytest.raises(SettingsError, match="--set data: has characters that are not printable"):
        ca("issue", "board-7", "--set", "data=idx:/d\udcff")


def test_code_in_a_ticket_is_noted_with_what_the_board_needs() -> None:
    ca("init")
    output = ca("issue", "board-7", "--set", "model=mine:net")
    assert "model = mine:net names code: the board needs --model mine:net itself, or --allow-code-from-ticket" in output
    assert "names code" not in ca("issue", "board-8", "--set", "data=idx:/data", "--set", "model=cnn")


def test_the_list_shows_all_nodes() -> None:
    ca("init")
    ca("issue", "board-1", "--address", "10.0.0.1:7711", "--days", "30")
    ca("issue", "board-2")
    assert "board-2 is revoked" in ca("revoke", "board-2")
    first, second = ca("list").splitlines()
    assert first.split()[:3] == ["board-1", read_ticket(Path("board-1.ticket")).node_id, "10.0.0.1:7711"]
    assert "(30 days)" in first or "(29 days)" in first
    assert second.endswith("revoked")


def test_renewal_writes_over_the_old_ticket_and_issue_does_not() -> None:
    ca("init")
    ca("issue", "board-1")
    before = read_ticket(Path("board-1.ticket"))
    ca("renew", "board-1")
    after = read_ticket(Path("board-1.ticket"))
    assert before.node_id == after.node_id
    assert before.certificate != after.certificate
    Path("board-2.ticket").write_text("something else")
    with pytest.raises(SettingsError, match="not overwritten"):
        ca("issue", "board-2")
    os.remove("board-2.ticket")
    ca("issue", "board-2")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "alhpa=1"], "--set: there is no setting alhpa; did you mean alpha?"),
        (["--set", "alpha=-1"], "alpha = '-1' (from --set alpha)"),
        (["--set", "uneven-classes=foo"], "uneven_classes = 'foo' (from --set uneven-classes)"),
        (["--set", "uneven_classes=foo"], "uneven_classes = 'foo' (from --set uneven_classes)"),
        (["--set", "model=cnn", "--peers", "10.0.0.1"], "(from --peers)"),
        (["--set", "alpha"], "is not KEY=VALUE"),
        (["--set", "insecure=true"], "is not KEY=VALUE of a setting that a ticket may give"),
        (["--set", "run-id=x"], "is not KEY=VALUE of a setting that a ticket may give"),
        (["--set", "allow-code-from-ticket=true"], "is not KEY=VALUE of a setting that a ticket may give"),
        (["--address", "10.0.0.1"], "--address: '10.0.0.1' is not HOST:PORT"),
        (["--peers", "10.0.0.1"], "is not HOST:PORT"),
        (["--fingerprint", "xyz"], "--fingerprint"),
    ],
)
def test_a_mistake_is_found_before_anything_is_issued(options: list[str], words: str) -> None:
    ca("init")
    with pytest.raises(SettingsError, match=re.escape(words)):
        ca("issue", "board-1", *options)
    assert ca("list") == ""
    assert not Path("board-1.ticket").exists()


@pytest.mark.parametrize("name", ["two words", "", "../x", "x" * 65])
def test_a_name_that_can_be_no_nodes_is_refused(name: str) -> None:
    ca("init")
    with pytest.raises(SettingsError, match="name"):
        ca("issue", name)
    assert ca("list") == ""


def test_a_run_that_can_have_no_such_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="run_id"):
        ca("init", "--run-id", "a b")
    assert not Path("dslnode-authority").exists()


def test_without_an_authority_there_is_nothing_to_issue() -> None:
    assert "cannot be read" in complaint(ExitCode.SETTINGS, "ca", "issue", "board-1")


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_listening_beyond_loopback_without_identity_ends_with_a_message_that_names_insecure(listen: str) -> None:
    message = complaint(ExitCode.SETTINGS, "start", "--listen", listen)
    assert message.startswith(f"--listen {listen} would accept any host that reaches this port")
    assert "--insecure" in message
    assert "--ticket" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--peers", "10.0.0.2:7711"], "--insecure"),
        (["--insecure", "--ticket", "board-1.ticket"], "contradict"),
        (["--name", "other", "--ticket", "board-1.ticket"], "is the ticket of 'board-1'; leave --name out"),
        (["--ticket", "absent.ticket"], "absent.ticket: cannot be read"),
        (["--revoked", "list"], "--revoked needs a --ticket"),
    ],
)
def test_a_start_that_would_be_insecure_or_confused_ends_with_2(options: list[str], words: str) -> None:
    ca("init")
    ca("issue", "board-1")
    assert words in complaint(ExitCode.SETTINGS, "start", *options)


def test_a_node_that_builds_another_network_than_its_ticket_names_ends_with_3() -> None:
    ca("init")
    ca("issue", "board-1", "--fingerprint", "ab" * 16)
    options = ["--ticket", "board-1.ticket", "--listen", "127.0.0.1:0", "--metrics", "off"]
    assert f"its ticket asks for {'ab' * 16}" in complaint(ExitCode.DATA, "start", *options)
