"""The ledger's file: read back as it was, refused if it is not, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.accounting.ledger import EARLIEST_HOUR, KINDS, Amounts, Direction, Ledger
from dslnode.accounting.ledger_file import (
    COPY,
    DAMAGED,
    FILE,
    MAGIC,
    MAX_BYTES,
    LedgerState,
    load,
    pack,
    read_ledger,
    save,
    unpack,
)
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
    assert sorted(file.name for file in tmp_path.iterdir()) == [FILE, COPY]


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
        with pytest.raises(StateError, match=r"ledger: is .*or let the node begin a new ledger"):
            load(tmp_path)


def test_a_file_too_large_to_be_a_ledger_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / FILE).open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(StateError, match="too large"):
        load(tmp_path)


def test_a_directory_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="missing/ledger: cannot be written"):
        save(tmp_path / "missing", b"")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("how", ["flip", "cut", "empty", "missing"])
def test_a_damaged_ledger_is_read_from_its_copy(tmp_path: Path, how: str) -> None:
    saved = ledger_state(Amounts(control=2))
    save(tmp_path, pack(ledger_state(Amounts(control=1))))
    save(tmp_path, pack(saved))
    file = tmp_path / FILE
    if how == "flip":
        flip(file)
    elif how == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9] if how == "cut" else b"")
    loaded = read_ledger(tmp_path)
    assert (loaded.state, loaded.is_lost) == (saved, False)
    assert loaded.problem.startswith(f"{file}: is ")
    assert load(tmp_path) == saved


def test_a_ledger_with_a_damaged_copy_is_read_without_a_word(tmp_path: Path) -> None:
    save(tmp_path, pack(ledger_state()))
    flip(tmp_path / COPY)
    assert (read_ledger(tmp_path).state, read_ledger(tmp_path).problem) == (ledger_state(), "")


def test_two_damaged_ledgers_are_lost_and_both_are_named(tmp_path: Path) -> None:
    save(tmp_path, pack(ledger_state()))
    flip(tmp_path / FILE)
    flip(tmp_path / COPY)
    loaded = read_ledger(tmp_path)
    assert loaded.is_lost
    assert f"{tmp_path / FILE}: is damaged" in loaded.problem
    assert f"{tmp_path / COPY}: is damaged" in loaded.problem


def test_a_damaged_ledger_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"damaged")
    save(tmp_path, pack(ledger_state()), set_aside=True)
    assert (tmp_path / DAMAGED).read_bytes() == b"damaged"
    assert load(tmp_path) == ledger_state()


def test_a_link_in_the_place_of_a_ledger_is_named_and_not_read(tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=f"{tmp_path / FILE}: is a symbolic link"):
        read_ledger(tmp_path)
