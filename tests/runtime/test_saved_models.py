"""The personal models in a state directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dslnode.errors import ModelError, StateError
from dslnode.inference.saved_arrays import LOCAL, MASK
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.saved_models import DESCRIPTION, save_description, saved_model
from dslnode.runtime.snapshot_metadata import SnapshotMetadata
from tests.inference.test_model_file import DESCRIPTION as PUMP
from tests.inference.test_model_file import described, example


def snapshot(number: int, seed: int, *, score: float | None = None) -> Snapshot:
    model = example(seed)
    arrays: dict[str, np.ndarray] = {
        MASK: np.packbits(model.mask, bitorder="little"),
        LOCAL + "3.bias": model.tensors["3.bias"],
    }
    name = "" if score is None else "accuracy"
    metadata = SnapshotMetadata(round=number, run_id="r", fingerprint="00", score=score, score_name=name)
    return Snapshot(metadata, arrays)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    state = StateDirectory(tmp_path)
    save_description(tmp_path, PUMP)
    for number in (5, 6):
        state.save(snapshot(number, number))
    state.save_best(snapshot(3, 3, score=0.9))
    return tmp_path


@pytest.mark.parametrize(("which", "number"), [("best", 3), ("last", 6), ("5", 5), ("6", 6), ("3", 3)])
def test_the_best_the_last_and_every_saved_round(directory: Path, which: str, number: int) -> None:
    model = saved_model(directory, which)
    assert model.round == number
    assert (model.mask == example(number).mask).all()
    assert (model.tensors["3.bias"] == example(number).tensors["3.bias"]).all()
    assert model.description == PUMP


def test_without_a_best_model_the_last_one_is_taken(directory: Path) -> None:
    for name in ("best", "best.old"):
        (directory / name).unlink(missing_ok=True)
    assert saved_model(directory).round == 6


def test_what_is_not_there_is_named_with_what_is(directory: Path) -> None:
    with pytest.raises(StateError, match="holds no model of round 4; it has 6, 5, 3"):
        saved_model(directory, "4")
    with pytest.raises(ModelError, match="give best, last, or the number of a round"):
        saved_model(directory, "newest")


def test_a_directory_of_an_earlier_release_says_what_to_do(directory: Path) -> None:
    bare = snapshot(7, 7)
    StateDirectory(directory).save(Snapshot(bare.metadata, {"scores": np.zeros(3)}))
    with pytest.raises(StateError, match="holds no mask of this model"):
        saved_model(directory, "last")
    (directory / DESCRIPTION).write_text("{}")
    with pytest.raises(StateError, match="is damaged; start the node again"):
        saved_model(directory)
    (directory / DESCRIPTION).unlink()
    with pytest.raises(StateError, match="there is no such file"):
        saved_model(directory)


def test_the_same_description_is_not_written_again(directory: Path) -> None:
    before = (directory / DESCRIPTION).stat().st_ino
    save_description(directory, PUMP)
    assert (directory / DESCRIPTION).stat().st_ino == before
    save_description(directory, described(node="pump-4"))
    assert saved_model(directory).description.node == "pump-4"
