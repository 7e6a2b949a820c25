"""The personal models in a node's state directory: what they have in common, and each that is saved."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from dslnode.atomic_file import read_file, replace_file
from dslnode.errors import ModelError, StateError
from dslnode.inference.model_header import MAX_HEADER_BYTES, Description, Score
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.saved_arrays import model_from_arrays
from dslnode.runtime.checkpoint import Snapshot, StateDirectory

DESCRIPTION = "model.json"
BEST, LAST = "best", "last"


def save_description(directory: Path, description: Description) -> None:
    """Write what all models of a node have in common beside its state, unless it is there. Raises ``StateError``."""
    file, content = directory / DESCRIPTION, msgspec.json.format(description.to_json(), indent=1)
    try:
        with contextlib.suppress(FileNotFoundError):
            if read_file(file, len(content)) == content:
                return
        replace_file(file, content)
    except OSError as error:
        raise StateError(f"{directory / DESCRIPTION}: cannot be written ({error.strerror or error})") from error


def saved_model(directory: Path, which: str = BEST) -> PersonalModelFile:
    """Return the ``best`` model, the ``last`` one, or that of a round that is saved. Raises ``StateError``.

    Where no best model is kept, the last one takes its place.
    """
    description = _description(directory)
    snapshot = _snapshot(StateDirectory(directory), directory, which)
    metadata = snapshot.metadata
    score = None if metadata.score is None else Score(name=metadata.score_name, value=metadata.score)
    try:
        return model_from_arrays(
            description,
            snapshot.arrays,
            round_number=metadata.round,
            score=score,
            threshold=metadata.threshold,
        )
    except ValueError as error:
        raise StateError(f"{directory}: the saved state {error}") from error


def _description(directory: Path) -> Description:
    file = directory / DESCRIPTION
    try:
        return Description.from_json(read_file(file, MAX_HEADER_BYTES))
    except FileNotFoundError as error:
        raise StateError(
            f"{file}: there is no such file; give the --state-dir of a node that this release has run"
        ) from error
    except OSError as error:
        raise StateError(f"{file}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise StateError(f"{file}: is damaged; start the node again, which writes it anew") from error


def _snapshot(state: StateDirectory, directory: Path, which: str) -> Snapshot:
    found = {BEST: lambda: state.load_best() or state.peek(), LAST: state.peek}.get(which)
    if found is None and not which.isdigit():
        raise ModelError(f"round {which!r}: give best, last, or the number of a round that dslnode rounds lists")
    snapshot = found() if found is not None else state.of_round(int(which))
    if snapshot is None:
        listed = ", ".join(str(each.metadata.round) for each in state.generations() if each.metadata is not None)
        raise StateError(f"{directory}: holds no model of round {which}; it has {listed or 'none yet'}")
    return snapshot
