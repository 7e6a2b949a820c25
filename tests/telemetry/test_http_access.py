"""Who may read over HTTP: own names against DNS rebinding, and the token."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest

from dslnode.errors import SettingsError
from dslnode.telemetry.http_access import is_authorized, is_own_host, read_token

TOKEN = "correct-horse-battery"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "localhost",
        "localhost:9464",
        "127.0.0.1:9464",
        "10.0.0.2",
        "[::1]:9464",
        "[fe80::1]",
        "BOARD-1:9464",
        "board-1.",
    ],
)
def test_addresses_and_own_names_are_the_nodes(header: str) -> None:
    assert is_own_host(header, "board-1:9464")


def test_the_machines_name_is_the_nodes() -> None:
    assert is_own_host(f"{socket.gethostname()}:9464")
    assert is_own_host(f"{socket.gethostname().partition('.')[0]}.local")


@pytest.mark.parametrize(
    "header", ["evil.example", "127.0.0.1.evil.example:9464", "localhost.evil.example", "board-1.x", "@"]
)
def test_other_names_are_not(header: str) -> None:
    assert not is_own_host(header, "board-1:9464")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic(f"any:{TOKEN}"), basic(f":{TOKEN}")])
def test_the_token_is_a_bearer_token_or_a_password(header: str) -> None:
    assert is_authorized(header, TOKEN)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Digest {TOKEN}",
        f"Bearer {TOKEN}x",
        basic(TOKEN),
        "Basic \xff",
        "Basic =",
        "Bearer \xe4",
    ],
)
def test_nothing_else_is(header: str) -> None:
    assert not is_authorized(header, TOKEN)


def test_without_a_token_everybody_may_read() -> None:
    assert is_authorized("", None)


@pytest.mark.parametrize("content", ["", "short", "sixteen or more characters", "umlaut-äääääääääääää"])
def test_a_file_that_holds_no_token_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(SettingsError, match=f"{file}: holds no token"):
        read_token(file)


def test_a_token_is_read_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert read_token(file) == TOKEN
