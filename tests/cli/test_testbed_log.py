"""What the end of a node's log says of its rounds, and of its death."""

from __future__ import annotations

import json
from pathlib import Path

from dslnode.cli.testbed_log import TAIL_BYTES, Progress, last_words, progress_line, progress_of


def round_line(number: int, score: float | None = None) -> str:
    measured = {} if score is None else {"score": score, "score_name": "accuracy"}
    return json.dumps({"event": "round", "round": number, "bits_sent": 1000 * number, **measured}) + "\n"


def test_the_newest_round_and_the_newest_score_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert progress_of(log) == Progress(), "there is no log yet"
    log.write_text("Traceback\n[1]\n" + round_line(5, 0.5) + round_line(6) + '{"event": "stopped", "round": 6}\n')
    assert progress_of(log) == Progress(round=6, score=0.5, score_name="accuracy", bits_sent=6000)


def test_of_a_long_log_the_end_alone_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(round_line(number, 0.25) for number in range(TAIL_BYTES // 20)) + round_line(9999, 0.75))
    assert progress_of(log) == Progress(round=9999, score=0.75, score_name="accuracy", bits_sent=9_999_000)


def test_the_line_of_all_nodes_has_mean_and_worst() -> None:
    found = [
        Progress(round=4, score=0.5, score_name="accuracy", bits_sent=1_000),
        Progress(round=6, score=0.9, score_name="accuracy", bits_sent=2_000),
        Progress(),
    ]
    expected = "rounds 0 to 6, accuracy 70.0 % in the mean, 50.0 % at worst, 3.0 kbit sent"
    assert progress_line(found) == expected
    assert progress_line([Progress(round=3)]) == "round 3, 0 bit sent"


def test_last_words_are_one_printable_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(log) == ""
    log.write_text('{"event": "started"}\ndslnode: the data\x1b are missing\n\n')
    assert last_words(log) == "dslnode: the data  are missing"


def test_what_a_former_process_said_is_not_why_a_later_one_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("dslnode: the data are missing\n")
    began = log.stat().st_size
    assert last_words(log, began) == ""
    log.write_text(log.read_text() + "dslnode: the port is taken\n")
    assert last_words(log, began) == "dslnode: the port is taken"
