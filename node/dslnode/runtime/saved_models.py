"""The personal models in a node's state directory. Each saved state says itself what its model is."""

from __future__ import annotations

from pathlib import Path

from dslnode.errors import ModelError, StateError
from dslnode.inference.model_header import Description, Score
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.saved_arrays import model_from_arrays
from dslnode.runtime.checkpoint import Snapshot, StateDirectory

BEST, LAST = "best", "last"
REMEDY = "let the node do a round"


def saved_model(directory: Path, which: str = BEST) -> PersonalModelFile:
    """Return the ``best`` model, the ``last`` one, or that of a round that is saved. Raises ``StateError``.

    Where no best model is kept, the last one takes its place, whatever was kept before.
    """
    snapshot = _snapshot(StateDirectory(directory), directory, which)
    metadata = snapshot.metadata
    score = None if metadata.score is None else Score(name=metadata.score_name, value=metadata.score)
    try:
        return model_from_arrays(
            _description(metadata.description),
            snapshot.arrays,
            round_number=metadata.round,
            score=score,
            threshold=metadata.threshold,
        )
    except ValueError as error:
        raise StateError(f"{directory}: the saved state {error}") from error


def _description(text: str) -> Description:
    if not text:
        raise ValueError(f"does not say what its model is, as states of earlier releases do not; {REMEDY}")
    try:
        return Description.from_json(text.encode())
    except ValueError as error:
        raise ValueError(f"has a description of its model that does not fit ({error}); {REMEDY}") from None


def _snapshot(state: StateDirectory, directory: Path, which: str) -> Snapshot:
    if not directory.is_dir():
        raise StateError(
            f"{directory}: there is no such directory; name one that dslnode start --state-dir has written"
        )
    found = {BEST: lambda: _best(state), LAST: state.peek}.get(which)
    if found is None and not which.isdigit():
        raise ModelError(f"round {which!r}: give best, last, or the number of a round that dslnode rounds lists")
    snapshot = found() if found is not None else state.of_round(int(which))
    if snapshot is None:
        listed = ", ".join(str(each.metadata.round) for each in state.generations() if each.metadata is not None)
        raise StateError(f"{directory}: holds no model of round {which}; it has {listed or 'none yet'}")
    return snapshot


def _best(state: StateDirectory) -> Snapshot | None:
    last = state.peek()
    return last if last is not None and last.metadata.keep == LAST else state.load_best() or last
