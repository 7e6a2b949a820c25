"""What is read of a network's logs and memory after the play."""

from __future__ import annotations

import pytest

from tests.chaos.boards import Board, Life
from tests.chaos.play import complaints, growth, lost_rounds


class Process:
    """Stands for a process that has ended: its log, and what else it wrote."""

    def __init__(self, *log: dict[str, object]) -> None:
        self.log = [{"level": "info", **line} for line in log]
        self.other_output: list[str] = []


def life(*log: dict[str, object]) -> Life:
    return Life(Process(*log))  # type: ignore[arg-type]


def board(*lives: Life) -> Board:
    found = Board.__new__(Board)
    found.lives = list(lives)
    return found


def finished(number: int) -> dict[str, object]:
    return {"event": "round", "round": number}


STARTED: dict[str, object] = {"event": "started"}


def resumed(number: int) -> dict[str, object]:
    return {"event": "resumed", "round": number}


@pytest.mark.parametrize(
    ("second", "lost"),
    [((resumed(2), STARTED), [0, 0]), ((resumed(1), STARTED), [0, 1]), ((STARTED,), [0, 2]), ((), [0])],
    ids=["all", "one checkpoint", "everything", "killed before it began"],
)
def test_a_restart_is_asked_what_it_still_knew(second: tuple[dict[str, object], ...], lost: list[int]) -> None:
    assert lost_rounds(board(life(STARTED, finished(1), finished(2)), life(*second))) == lost


def test_growth_is_that_of_the_second_half_of_a_life_that_was_long_enough() -> None:
    one = life()
    one.memory = [(float(second), 1_000 * min(second, 50)) for second in range(100)]
    assert growth(one, 60.0) == 0, "what grew at first is what a process needs"
    one.memory = [(float(second), 1_000 * second) for second in range(100)]
    assert 30_000 < growth(one, 60.0) < 50_000
    assert growth(one, 200.0) == 0


def test_what_a_bad_network_does_not_excuse_is_complained_of() -> None:
    excused: dict[str, object] = {"event": "neighbour refused", "reason": "silent", "level": "warning"}
    damaged: dict[str, object] = {"event": "neighbour refused", "reason": "checksum", "level": "warning"}
    failed: dict[str, object] = {"event": "internal error", "level": "error"}
    noisy = life()
    noisy.process.other_output.append("Traceback")
    assert not complaints(board(life(excused, finished(1))))
    assert len(complaints(board(life(excused, damaged), life(failed), noisy))) == 3
