"""An announcement on the local network becomes an address to dial, or nothing."""

from __future__ import annotations

import sys
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.errors import SettingsError
from dslnode.overlay.mdns import announcement, check_discovery, discover, read_announcement
from dslnode.protocol.membership import MemberRecord
from dslnode.telemetry.logs import Logger
from dslnode.transport.handshake import NetworkFingerprint, NodeInfo
from dslnode.transport.member_frames import is_dialable
from tests.runtime.test_credential_watch import Log

ME = NodeInfo(
    run_id="run",
    node_id=b"m" * 16,
    incarnation=b"i" * 8,
    name="me",
    advertise="",
    model=NetworkFingerprint(fingerprint=b"", layout=b"", layers=0, weights=0, seed=0, scores=0),
    exchange="sign",
)
OTHER = "0f" * 16
RIGHT: dict[bytes, bytes | None] = {b"run": b"run", b"id": OTHER.encode(), b"name": b"board-7", b"at": b""}


def test_a_node_of_the_run_is_dialled_where_it_was_seen() -> None:
    assert read_announcement(RIGHT, ["10.0.0.7"], 7711, ME) == MemberRecord(OTHER, 0, "board-7", "10.0.0.7:7711")
    assert read_announcement(RIGHT, ["fd00::7", "10.0.0.7"], 7711, ME) == MemberRecord(
        OTHER, 0, "board-7", "[fd00::7]:7711"
    )


def test_the_advertised_address_comes_before_the_one_seen() -> None:
    record = read_announcement({**RIGHT, b"at": b"board-7.example:7711"}, ["10.0.0.7"], 7712, ME)
    assert record == MemberRecord(OTHER, 0, "board-7", "board-7.example:7711")


def test_a_link_local_address_is_dialled_by_the_zone_in_which_it_was_seen_and_never_as_announced() -> None:
    seen = MemberRecord(OTHER, 0, "board-7", "[fe80::7%3]:7711")
    assert read_announcement(RIGHT, ["fe80::7%3"], 7711, ME) == seen
    assert read_announcement({**RIGHT, b"at": b"[fe80::9%eth0]:7711"}, ["fe80::7%3"], 7711, ME) == seen
    assert read_announcement(RIGHT, ["fe80::7"], 7711, ME) is None


async def test_a_host_that_is_no_address_of_this_machine_ends_no_node() -> None:
    log = Log()
    for listen in ("[fe80::1%absent0]:7711", "127.0.0.1%lo:7711"):
        await discover(announcement(ME, listen, 7711), lambda _: None, cast(Logger, log))
    assert log.take() == 2 * [("warning", "not discovering")]


@pytest.mark.parametrize(
    "change",
    [
        {b"run": b"another"},
        {b"run": None},
        {b"id": ME.key.encode()},
        {b"id": OTHER.upper().encode()},
        {b"id": b"0f"},
        {b"name": b"n" * 65},
        {b"name": b"\x1b[2J"},
        {b"at": b"no port"},
        {b"at": b"host:0"},
        {b"at": b"h" * 300 + b":1"},
    ],
    ids=str,
)
def test_another_run_this_node_itself_and_values_out_of_bounds_are_ignored(
    change: dict[bytes, bytes | None],
) -> None:
    assert read_announcement({**RIGHT, **change}, ["10.0.0.7"], 7711, ME) is None


def test_without_an_address_or_a_port_there_is_nothing_to_dial() -> None:
    assert read_announcement(RIGHT, [], 7711, ME) is None
    assert read_announcement(RIGHT, ["10.0.0.7"], None, ME) is None


@given(
    st.dictionaries(st.sampled_from(sorted(RIGHT)), st.none() | st.binary(max_size=80)),
    st.lists(st.text(max_size=40), max_size=2),
    st.none() | st.integers(0, 65_535),
)
def test_any_announcement_becomes_a_record_in_bounds_or_nothing(
    fields: dict[bytes, bytes | None], addresses: list[str], port: int | None
) -> None:
    record = read_announcement({**RIGHT, **fields}, addresses, port, ME)
    assert record is None or (record.version == 0 and record.key != ME.key and is_dialable(record.address))


def test_without_zeroconf_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    check_discovery(discover=True)
    monkeypatch.setitem(sys.modules, "zeroconf", None)
    check_discovery(discover=False)
    with pytest.raises(SettingsError, match=r"zeroconf; install it with: pip install 'dslnode\[discover\]'"):
        check_discovery(discover=True)
