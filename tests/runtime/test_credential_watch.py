"""What a running node says of its ticket: what is new, what ends soon, what cannot be read; each once."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import pytest

from dslnode.runtime.credential_watch import CredentialWatcher, watch_credentials
from dslnode.security.credentials import Credentials
from dslnode.security.secret_files import write_private
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.telemetry.logs import Logger
from tests.networks import DAY, NOW, Operator


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.lines.append((level, event, fields))

    def take(self) -> list[tuple[str, str]]:
        """Return level and event of what was logged since it was last asked."""
        taken, self.lines = self.lines, []
        return [(level, event) for level, event, _ in taken]


class Board:
    """A node's ticket, watched by a clock that the test sets."""

    def __init__(self, operator: Operator, days: int = 90) -> None:
        self.file = operator.ticket("board-7", days=days)
        self.now = NOW
        self.log, self.ends = Log(), list[datetime]()
        credentials = Credentials(self.file, operator.revoked, lambda: self.now)
        self.watch = CredentialWatcher(TlsTunnels(credentials), self.ends.append, cast(Logger, self.log))


def test_all_well_is_not_worth_a_word(operator: Operator) -> None:
    board = Board(operator)
    board.watch.check()
    assert board.log.take() == []
    assert board.ends == [NOW + 90 * DAY]


def test_the_end_is_foretold_once_a_day_until_the_ticket_is_renewed(operator: Operator) -> None:
    board = Board(operator)
    board.now = NOW + 70 * DAY
    for _ in range(3):
        board.watch.check()
    [(level, event, fields)] = board.log.lines
    assert (level, event) == ("warning", "ticket")
    assert fields["problem"] == f"it ends on {NOW + 90 * DAY:%Y-%m-%d}"
    assert "dslnode ca renew board-7" in fields["remedy"]
    assert board.log.take()
    board.now += DAY
    board.watch.check()
    assert board.log.take() == [("warning", "ticket")]
    operator.renew("board-7", board.now)
    board.now += DAY
    board.watch.check()
    assert board.log.take() == [("info", "credentials reloaded")]
    assert board.ends[-1] == NOW + 161 * DAY


@pytest.mark.parametrize(("days", "words"), [(91, "it ended on"), (-20_000, "its time has not come")])
def test_a_ticket_out_of_its_time_is_said_to_be_with_a_word_on_the_clock(
    operator: Operator, days: int, words: str
) -> None:
    """The second is a board without a battery for its clock, which starts in the seventies."""
    board = Board(operator)
    board.now = NOW + days * DAY
    board.watch.check()
    [(_, _, fields)] = board.log.lines
    assert words in fields["problem"]
    assert "is it right?" in fields["problem"]


def test_a_file_that_cannot_be_read_any_more_is_said_once(operator: Operator) -> None:
    board = Board(operator)
    good = board.file.read_text()
    write_private(board.file, "rubbish", replace=True)
    for _ in range(3):
        board.watch.check()
    assert board.log.take() == [("error", "credentials not reloaded")]
    write_private(board.file, good, replace=True)
    board.watch.check()
    assert board.log.take() == [("info", "credentials reloaded")]
    write_private(board.file, "rubbish", replace=True)
    board.watch.check()
    assert board.log.take() == [("error", "credentials not reloaded")]


async def test_without_a_ticket_there_is_nothing_to_watch() -> None:
    log = Log()
    await watch_credentials(None, lambda _: None, cast(Logger, log))
    assert log.take() == []
