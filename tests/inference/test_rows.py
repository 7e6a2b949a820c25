"""The examples that a model is to answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dslnode.errors import DataError
from dslnode.inference.model_header import InputScaling
from dslnode.inference.rows import read_examples, trial_rows
from tests.inference.test_model_file import DESCRIPTION, described
from tests.inference.test_row_stream import MODEL as OF_ROWS


def archive(directory: Path, values: np.ndarray) -> str:
    np.savez(directory / "a.npz", images=values, labels=np.array([0, 1, 2]))
    return f"npz:{directory / 'a.npz'}"


def test_bytes_come_as_they_are(tmp_path: Path) -> None:
    values = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    [part] = read_examples(archive(tmp_path, values), DESCRIPTION, with_targets=True)
    assert (part.inputs[:, 0] == values).all()
    assert part.labels is not None
    assert part.labels.tolist() == [0, 1, 2]


def test_numbers_whose_scale_the_model_does_not_know_are_refused(tmp_path: Path) -> None:
    spec = archive(tmp_path, np.random.default_rng(1).normal(size=(3, 30)))
    with pytest.raises(DataError, match="this model's file does not hold that scale; export it again"):
        next(read_examples(spec, DESCRIPTION, with_targets=False))


def test_numbers_whose_scale_the_model_knows_come_as_they_were_measured(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(100, 20, size=(3, 30))
    known = described(input_scaling=InputScaling(centre=(100.0,) * 30, scale=(20.0,) * 30))
    [part] = read_examples(archive(tmp_path, values), known, with_targets=False)
    assert (part.inputs == values.astype(np.float32)).all()
    assert abs(trial_rows(known, None, 1_000).mean() - 100) < 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("new.csv", "--data new.csv: does not say what kind of file it is; write csv:new.csv"),
        ("digits", "--data digits: is none of the files that this model was made for; give a table with the columns"),
    ],
)
def test_data_that_are_no_file_of_rows_are_refused_with_what_to_give(spec: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        next(read_examples(spec, OF_ROWS, with_targets=False))


@pytest.mark.parametrize(
    ("last", "answered", "note"),
    [
        ("30,on,1\n", 2, ""),
        ("30,on,1", 2, "line 3: has no line end, and is taken for a whole row"),
        ("30,on", 1, "line 3: left out, since it is not finished"),
        ("30,on,-", 1, "line 3: left out, since it is not finished"),
    ],
)
def test_a_last_line_without_an_end_is_taken_as_a_node_takes_it(
    tmp_path: Path, last: str, answered: int, note: str
) -> None:
    file = tmp_path / "new.csv"
    file.write_text("heat,state,load\n20,off,2\n" + last)
    [part] = read_examples(f"csv:{file}", OF_ROWS, with_targets=False)
    assert len(part.inputs) == answered
    assert "".join(each for each in part.notes if "line 3" in each).endswith(note)


def test_another_target_than_that_of_the_model_cannot_judge_it(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("heat,state,load,class\n20,off,2,ok\n30,on,1,worn\n")
    [part] = read_examples(f"csv:{file}?target=class", OF_ROWS, with_targets=True)
    assert part.labels is not None
    with pytest.raises(
        DataError, match="the model was trained on the target class, and is judged by it; leave target="
    ):
        next(read_examples(f"csv:{file}?target=load", OF_ROWS, with_targets=True))


def test_an_infinite_number_counts_as_a_missing_one_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    file.write_text("heat,state,load\n20,off,2\ninf,on,1\n30,on,-Infinity\n")
    [part] = read_examples(f"csv:{file}", OF_ROWS, with_targets=False)
    assert len(part.inputs) == 2, "without load there is no row"
    assert part.inputs[1, 0] == 0, "as a cell without a value"
    assert "infinite numbers in heat: 1 cells, which count as cells without a value" in part.notes
