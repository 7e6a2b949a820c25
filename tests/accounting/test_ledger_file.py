"""The ledger's file: read back as it was, refused if it is not, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.accounting.ledger import EARLIEST_HOUR, KINDS, Amounts, Direction, Ledger
from dslnode.accounting.ledger_file import FILE, MAGIC, MAX_BYTES, LedgerState, load, pack, save, unpack
from dslnode.errors import StateError

amounts = st.builds(Amounts, *[st.integers(0, 2**60)] * len(KINDS))


def ledger_state(*booked_amounts: Amounts) -> LedgerState:
    ledger = Ledger()
    for number, amount in enumerate(booked_amounts):
        ledger.book(EARLIEST_HOUR + number, "ab", Direction.SENT, amount)
    booked = {("ab", Direction.RECEIVED): Amounts(control=7)}
    return LedgerState(ledger, {"ab": "board-ä"}, booked, reserved=500, hour=EARLIEST_HOUR)


@given(st.lists(amounts, max_size=5))
def test_a_state_comes_back_as_it_was(moved: list[Amounts]) -> None:
    assert unpack(pack(ledger_state(*moved))) == ledger_state(*moved)


def test_a_directory_without_a_ledger_has_none(tmp_path: Path) -> None:
    assert load(tmp_path) is None


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path, pack(ledger_state(Amounts(control=1))))
    save(tmp_path, pack(ledger_state(Amounts(control=2))))
    assert load(tmp_path) == ledger_state(Amounts(control=2))
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(content: bytes) -> None:
    for changed in (content, MAGIC + content):
        with pytest.raises(ValueError, match=r"is not a ledger|is damaged"):
            unpack(changed)


def test_any_damage_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    whole = pack(ledger_state(Amounts(control=1)))
    flipped = (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole)))
    for broken in (whole[:-1], whole + b" ", b"", *flipped):
        (tmp_path / FILE).write_bytes(broken)
        with pytest.raises(StateError, match=r"ledger: is .*remove it to begin a new ledger"):
            load(tmp_path)


def test_a_file_too_large_to_be_a_ledger_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / FILE).open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(StateError, match="too large"):
        load(tmp_path)


def test_a_directory_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="missing/ledger: cannot be written"):
        save(tmp_path / "missing", b"")
