"""The personal models in a state directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dslnode.errors import ModelError, StateError
from dslnode.inference.saved_arrays import LOCAL, MASK
from dslnode.learning.options import Keep
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.saved_models import saved_model
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
    metadata = SnapshotMetadata(
        round=number,
        run_id="r",
        fingerprint="00",
        score=score,
        score_name=name,
        description=PUMP.to_json().decode(),
    )
    return Snapshot(metadata, arrays)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    state = StateDirectory(tmp_path)
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


@pytest.mark.parametrize(("keep", "number"), [("best", 3), ("last", 7)])
def test_a_node_that_keeps_the_last_model_exports_it_whatever_best_was_kept_before(
    directory: Path, keep: Keep, number: int
) -> None:
    saved = snapshot(7, 7, score=0.5)
    metadata = saved.metadata.model_copy(update={"keep": keep})
    StateDirectory(directory).save(Snapshot(metadata, saved.arrays))
    assert saved_model(directory).round == number


def test_what_is_not_there_is_named_with_what_is(directory: Path) -> None:
    with pytest.raises(StateError, match="holds no model of round 4; it has 6, 5, 3"):
        saved_model(directory, "4")
    with pytest.raises(ModelError, match="give best, last, or the number of a round"):
        saved_model(directory, "newest")


def test_a_state_of_an_earlier_release_says_what_to_do(directory: Path) -> None:
    saved = snapshot(7, 7)
    StateDirectory(directory).save(Snapshot(saved.metadata, {"scores": np.zeros(3)}))
    with pytest.raises(StateError, match="holds no mask, as states of earlier releases do not; let the node do a"):
        saved_model(directory, "last")
    bare = saved.metadata.model_copy(update={"description": ""})
    StateDirectory(directory).save(Snapshot(bare, saved.arrays))
    with pytest.raises(StateError, match="does not say what its model is, as states of earlier releases do not"):
        saved_model(directory, "last")


def test_a_state_that_does_not_fit_its_own_description_is_refused_with_the_reason(directory: Path) -> None:
    saved = snapshot(7, 7)
    StateDirectory(directory).save(Snapshot(saved.metadata, {**saved.arrays, MASK: np.zeros(3, np.uint8)}))
    with pytest.raises(StateError, match=r"holds a mask of 3 bytes, and its model has .* weights"):
        saved_model(directory, "last")
    other = saved.metadata.model_copy(update={"description": "{}"})
    StateDirectory(directory).save(Snapshot(other, saved.arrays))
    with pytest.raises(StateError, match="has a description of its model that does not fit"):
        saved_model(directory, "last")


def test_each_state_is_described_as_it_was_when_it_was_saved(directory: Path) -> None:
    saved = snapshot(7, 7)
    renamed = described(node="pump-4").to_json().decode()
    StateDirectory(directory).save(Snapshot(saved.metadata.model_copy(update={"description": renamed}), saved.arrays))
    assert saved_model(directory, "last").description.node == "pump-4"
    assert saved_model(directory, "best").description == PUMP
