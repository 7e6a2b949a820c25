"""What a restart must know besides the learner's arrays: made when a round is saved, restored at the next start."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np

from dslnode.config.settings import Settings
from dslnode.errors import StateError
from dslnode.inference.saved_arrays import LOCAL
from dslnode.learning.answer_units import same_units
from dslnode.learning.learner import Learner
from dslnode.learning.results import HeldOut
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.learner_thread import ALONE
from dslnode.runtime.snapshot_metadata import KnownPeer, SavedTraffic, SnapshotMetadata
from dslnode.telemetry.logs import Logger
from dslnode.transport.connection_manager import ConnectionManager


def snapshot(
    round_number: int,
    settings: Settings,
    fingerprint: bytes,
    network: ConnectionManager,
    members: Sequence[Mapping[str, str | bool]] = (),
    *,
    held_out: HeldOut | None = None,
    description: str = "",
) -> SnapshotMetadata:
    """Return the metadata of a snapshot; ``round_number`` is the one to begin with after a restart.

    ``members`` are nodes of the network, linked or not, that can be dialled. ``description`` is that of the model.
    """
    neighbours = [
        KnownPeer(node_id=key, name=link.neighbour.name, advertise=link.neighbour.advertise)
        for key, link in network.links.items()
    ]
    return SnapshotMetadata(
        round=round_number,
        run_id=settings.run_id,
        fingerprint=fingerprint.hex(),
        score=None if held_out is None else held_out.score,
        score_name="" if held_out is None else held_out.name,
        threshold=None if held_out is None else held_out.threshold,
        keep=settings.keep,
        description=description,
        neighbours=neighbours,
        members=[KnownPeer.model_validate(dict(member)) for member in members],
        traffic={key: SavedTraffic.of(traffic) for key, traffic in network.traffic.items()},
    )


def restore(
    state: StateDirectory | None,
    settings: Settings,
    learner: Learner,
    network: ConnectionManager,
    log: Logger,
    *,
    alone: Learner | None = None,
) -> SnapshotMetadata | None:
    """Let learner and network go on where the state ends; return its metadata, or None if there is no state.

    Raises ``StateError`` if it is damaged, of another run or of another frozen network, and has changed nothing then.
    """
    if state is None or (saved := state.load()) is None:
        return None
    check(saved.metadata, settings, learner.fingerprint)
    restore_best(state, settings, learner, log)
    learner.restore(saved.arrays)
    if state.fell_back:
        log.warning("older state taken", why=state.fell_back)
        state.set_damaged_aside()
    if alone is not None:
        restore_alone(alone, saved.arrays, log)
    restore_traffic(saved.metadata, network)
    log.info("resumed", round=saved.metadata.round)
    return saved.metadata


def restore_alone(alone: Learner, arrays: Mapping[str, np.ndarray], log: Logger) -> None:
    """Let the mask that learns without neighbours go on where it was saved, too."""
    own = {name.removeprefix(ALONE): array for name, array in arrays.items() if name.startswith(ALONE)}
    if own:
        alone.restore(own)
    else:
        log.warning("mask without neighbours starts anew", why="the saved state has none: the comparison is not fair")


def restore_best(state: StateDirectory, settings: Settings, learner: Learner, log: Logger) -> None:
    """Let the learner hold the newest best model that was saved and fits, unless it keeps none; others are logged.

    An older one then takes the place of the newest, which becomes the older one: it is what is exported, and the next
    best model would replace it. The learner's present state is overwritten.
    """
    if settings.keep == "last":
        return

    def take(saved: Snapshot) -> None:
        check(saved.metadata, settings, learner.fingerprint)
        check_score(saved.metadata, learner.task.score_name)
        check_answers(saved.arrays, learner)
        learner.restore(saved.arrays)

    try:
        best = state.load_best(take)
    except StateError as error:
        then = {} if learner.data.held_out is None else {"then": "the best model is chosen anew"}
        log.warning("best model not taken", why=str(error), **then)
        return
    if best is None:
        return
    if best.metadata.score is not None:
        learner.keep_if_best(best.metadata.score, best.metadata.round)
    if state.best_fell_back:
        log.warning("older best model taken", round=best.metadata.round, why=state.best_fell_back)
        with contextlib.suppress(StateError):  # a full disk, as the next save will say
            state.save_best(best)


def check(metadata: SnapshotMetadata, settings: Settings, fingerprint: bytes) -> None:
    """Raise ``StateError`` unless the snapshot belongs to this run and this frozen network."""
    if metadata.run_id != settings.run_id:
        raise StateError(
            f"{settings.state_dir}: holds the state of run {metadata.run_id!r}, this is {settings.run_id!r}; "
            "choose another --state-dir or the same --run-id"
        )
    if metadata.fingerprint != fingerprint.hex():
        raise StateError(
            f"{settings.state_dir}: holds the state of another model or seed; choose another --state-dir, "
            "or start with the --model, --data and --seed it was made with"
        )


def check_score(metadata: SnapshotMetadata, own: str) -> None:
    """Raise ``StateError`` unless the snapshot's score is of the node's ``own`` kind, or has none or no name.

    Scores of two kinds cannot be compared, and what was chosen by one of them may answer otherwise.
    """
    if metadata.score is not None and metadata.score_name not in ("", own):
        raise StateError(
            f"{metadata.score_name} is its score, and this node's is {own}: --uneven-classes or the data have changed"
        )


def check_answers(arrays: Mapping[str, np.ndarray], learner: Learner) -> None:
    """Raise ``StateError`` unless a saved model answers classes in the node's own units: by the same class prior.

    By another one it answered otherwise when its score was measured.
    """
    tensors = {name.removeprefix(LOCAL): array for name, array in arrays.items() if name.startswith(LOCAL)}
    if not same_units(tensors, learner.answer_tensors):
        raise StateError(
            "the shares of the classes, by which it answers, are not this node's: "
            "--uneven-classes or the data have changed"
        )


def restore_traffic(metadata: SnapshotMetadata, network: ConnectionManager) -> None:
    """Let the network count on from what was sent and received before."""
    for key, saved in metadata.traffic.items():
        network.traffic[key] = saved.traffic()
