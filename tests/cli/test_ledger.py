"""What ``dslnode ledger`` prints: rows that a spreadsheet and a script can read, and a table for people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from dslnode.accounting.ledger import EARLIEST_HOUR, OTHERS, Amounts, Direction, Ledger, Period
from dslnode.accounting.ledger_file import LedgerState, pack, save
from dslnode.cli.ledger import COLUMNS, OutputFormat, show_ledger
from dslnode.errors import SettingsError

ABC = "ab" * 16
MOVED = Amounts(sign_bits=8_000, sign_framing=20, control=3, resent=400, transport=70)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    ledger = Ledger()
    ledger.book(EARLIEST_HOUR + 25, ABC, Direction.SENT, MOVED)
    ledger.book(EARLIEST_HOUR + 26, ABC, Direction.RECEIVED, Amounts(keep_bits=80))
    ledger.book(EARLIEST_HOUR + 26, OTHERS, Direction.SENT, Amounts(transport=12))
    save(tmp_path, pack(LedgerState(ledger, {ABC: "[bold]board\n7"})))
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], directory: Path, per: Period, form: OutputFormat) -> str:
    show_ledger("127.0.0.1:7711", directory, per, form, timeout=1.0)
    return capsys.readouterr().out


def test_json_and_csv_have_the_same_rows(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    found = json.loads(printed(capsys, directory, Period.HOUR, OutputFormat.JSON))
    table = csv.DictReader(io.StringIO(printed(capsys, directory, Period.HOUR, OutputFormat.CSV)))
    assert [{key: str(value) for key, value in row.items()} for row in found] == list(table)
    assert [row["start"] for row in found] == ["2026-01-02T01:00Z", "2026-01-02T02:00Z", "2026-01-02T02:00Z"]
    assert found[0] == dict(
        zip(COLUMNS, ("2026-01-02T01:00Z", "[bold]board 7", ABC, "sent", *MOVED.values(), 1_493), strict=True)
    )
    assert [(row["neighbour"], row["node_id"], row["total"]) for row in found[1:]] == [
        ("[bold]board 7", ABC, 10),
        (OTHERS, "", 12),
    ]


def test_the_table_has_bytes_by_day_and_takes_no_name_for_markup(
    capsys: pytest.CaptureFixture[str], directory: Path
) -> None:
    lines = printed(capsys, directory, Period.DAY, OutputFormat.TABLE).splitlines()
    assert len(lines) == 4
    assert lines[1].split()[:4] == ["2026-01-02", "[bold]board", "7", "sent"]
    assert lines[1].split()[4:] == ["1,000", "20", "3", "400", "70", "0", "1,493"]


def test_a_directory_without_a_ledger_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no ledger in"):
        show_ledger("", tmp_path, Period.DAY, OutputFormat.TABLE, timeout=1.0)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="--address: 'nowhere' is not HOST:PORT"):
        show_ledger("nowhere", None, Period.DAY, OutputFormat.TABLE, timeout=1.0)
