"""What a node without a ticket may talk with."""

from __future__ import annotations

from pathlib import Path

import pytest

from dslnode.addresses import is_loopback
from dslnode.errors import ExitCode, SettingsError
from dslnode.security.exposure import check_exposure

TICKET = Path("board.ticket")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.255.0.9", "::1", "[::1]", "localhost", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "[::]", "10.0.0.1", "localhost.example.org", "board-7", "fe80::1%eth0", "128.0.0.1", ""]
)
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("listen", ["0.0.0.0:7711", "[::]:7711", "10.0.0.1:0", "board-7:7711"])
def test_listening_beyond_loopback_needs_a_ticket_or_insecure(listen: str) -> None:
    with pytest.raises(SettingsError, match=f"(?s)--listen {listen[:3].replace('[', '.')}.*--ticket.*--insecure") as no:
        check_exposure(listen, (), None, insecure=False)
    assert no.value.exit_code is ExitCode.SETTINGS
    check_exposure(listen, (), TICKET, insecure=False)
    check_exposure(listen, (), None, insecure=True)


def test_dialling_beyond_loopback_needs_a_ticket_or_insecure() -> None:
    peers = ("127.0.0.1:7711", "10.0.0.2:7711")
    with pytest.raises(SettingsError, match=r"--peers 10\.0\.0\.2:7711 .*--insecure"):
        check_exposure("127.0.0.1:7711", peers, None, insecure=False)
    check_exposure("127.0.0.1:7711", peers[:1], None, insecure=False)
    check_exposure("127.0.0.1:7711", peers, TICKET, insecure=False)
    check_exposure("127.0.0.1:7711", peers, None, insecure=True)


def test_a_ticket_and_insecure_contradict_each_other() -> None:
    with pytest.raises(SettingsError, match="contradict"):
        check_exposure("127.0.0.1:7711", (), TICKET, insecure=True)
