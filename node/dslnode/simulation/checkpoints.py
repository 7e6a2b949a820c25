"""What a simulation saves to go on later: each node's learner after the same round, as daemons do.

``state/round-N/I.npz`` is what node I had learned after round N. A round is complete once every node has written it;
then older ones are removed. A simulation that goes on does so as boards do after a power cut: every node starts again
from that round, at the virtual time at which it had finished it, and links open anew.

Nothing is removed before the first state takes its place, nothing of a simulation that has not ended, and nothing that
simulations do not write.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dslnode.errors import SettingsError, StateError
from dslnode.simulation.partition_file import PartPositions
from dslnode.simulation.plan import SimulationPlan
from dslnode.simulation.records import RoundRecord
from dslnode.simulation.state_directory import (
    COMPLETE,
    ENDED,
    MAX_FILE_BYTES,
    SavedRecords,
    read_saved,
    remove_round,
    round_directory,
    saved_rounds,
    write_saved,
)


def identity_of(settings: str, plan: SimulationPlan, positions: Sequence[PartPositions]) -> str:
    """Return a digest that is equal where two simulations differ in nothing but when they end.

    ``positions`` are the examples of each part: a partition's file counts by what is in it.
    """
    facts = {name: value for name, value in asdict(plan).items() if name != "until_score"}
    digest = hashlib.blake2b(f"{settings} {facts}".encode(), digest_size=16)
    for part in positions:
        for examples in (part.train, part.held_out):
            digest.update(f" {len(examples)} ".encode() + examples.tobytes())
    return digest.hexdigest()


def state_of(report: Path) -> Path:
    """Return where a simulation with this report saves its state."""
    return report / "state"


class Checkpoints:
    """The saved states of one simulation below ``directory``, every so many rounds; 0 for none.

    ``identity`` tells it from others.
    """

    def __init__(self, directory: Path, identity: str, *, nodes: int, every: int) -> None:
        self._directory = state_of(directory)
        self._identity = identity
        self.every = every
        self._nodes = nodes
        self._newest = 0
        self._owns_directory = False
        self._resumed = False
        self._written: defaultdict[int, set[int]] = defaultdict(set)

    def check_free(self) -> None:
        """Refuse to begin anew where a simulation that has not ended could go on, or another program keeps files.

        Raises ``SettingsError`` that says what to do.
        """
        check_ended(self._directory)
        if self.every:
            _check_own(self._directory)

    def is_due(self, round_number: int) -> bool:
        """Return whether a node is to save its state after this round."""
        return bool(self.every) and round_number % self.every == 0

    def save(self, node: int, records: Sequence[RoundRecord], arrays: Mapping[str, np.ndarray]) -> None:
        """Save what a node has learned after the round of the last record; ``records`` are those of all nodes.

        Nothing is to be done for a round that is complete: after a loss nodes compute the same again. Raises
        ``StateError`` if it cannot be written.
        """
        number = records[-1].round
        if number <= self._newest:
            return
        place = round_directory(self._directory, number)
        try:
            self._take_over()
            place.mkdir(exist_ok=True)
            np.savez(place / f"{node}.npz", allow_pickle=False, **arrays)
            self._written[number].add(node)
            if len(self._written[number]) == self._nodes:
                self._complete(number, [record for record in records if record.round <= number])
        except OSError as error:
            raise StateError(
                f"{place}: cannot be written ({error.strerror}); make room, or leave --checkpoint-every out"
            ) from error

    def finish(self) -> None:
        """Note that the simulation has run to its end, if its state is here: the next one may take its place.

        Raises ``StateError`` if that cannot be written.
        """
        if not self._owns_directory and not self._resumed:
            return
        try:
            (self._directory / ENDED).touch()
        except OSError as error:
            raise StateError(f"{self._directory}: cannot be written ({error.strerror}); make room") from error

    def load_records(self) -> list[RoundRecord]:
        """Return the records up to the newest round that is complete, to go on from there.

        Raises ``StateError`` if there is none, or it is of another simulation.
        """
        file = self._directory / COMPLETE
        try:
            saved = read_saved(self._directory)
        except FileNotFoundError:
            saved = SavedRecords(self._identity, [])
        except (OSError, ValueError) as error:
            raise StateError(
                f"{file}: cannot be read ({error}); to begin anew, leave --resume out and delete {self._directory}"
            ) from error
        if not saved.records:
            raise StateError(f"{file}: there is no saved state to go on from; leave --resume out")
        if saved.identity != self._identity:
            raise StateError(
                f"{file}: is of another simulation; repeat the options in {self._directory.parent / 'command.txt'}, "
                "or leave --resume out and name another --report"
            )
        self._newest, self._resumed = saved.round, True
        return saved.records

    def load_node(self, node: int, round_number: int) -> dict[str, np.ndarray]:
        """Return what a node had learned after a complete round. Raises ``StateError`` if it cannot be read."""
        file = round_directory(self._directory, round_number) / f"{node}.npz"
        try:
            if file.stat().st_size > MAX_FILE_BYTES:
                raise ValueError("larger than any node's")
            with np.load(file, allow_pickle=False) as archive:
                return dict(archive)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise StateError(
                f"{file}: cannot be read ({error}); to begin anew, leave --resume out and delete {self._directory}"
            ) from error

    def _take_over(self) -> None:
        """Before the first state is saved: remove those of a former run, but for what this one goes on from."""
        if self._owns_directory:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        if not self._resumed:
            write_saved(self._directory, SavedRecords(self._identity, []))
        (self._directory / ENDED).unlink(missing_ok=True)
        for number in saved_rounds(self._directory):
            if number != self._newest:
                remove_round(self._directory, number)
        self._owns_directory = True

    def _complete(self, number: int, records: list[RoundRecord]) -> None:
        write_saved(self._directory, SavedRecords(self._identity, records))
        self._newest = number
        for older in saved_rounds(self._directory):
            if older < number:
                self._written.pop(older, None)
                remove_round(self._directory, older)


def check_ended(state: Path) -> None:
    """Refuse a directory with the state of a simulation that has not ended.

    Raises ``SettingsError`` that says how to go on, or to begin anew.
    """
    number = resumable_round(state)
    if number and not (state / ENDED).exists():
        raise SettingsError(
            f"--report {state.parent}: has an unfinished simulation, saved after round {number}; add --resume to go on "
            f"with it, name another --report, or delete {state} to begin anew"
        )


def resumable_round(state: Path) -> int:
    """Return the round that a simulation could go on from; 0 if there is none."""
    try:
        return read_saved(state).round
    except (OSError, ValueError):
        return 0


def _check_own(state: Path) -> None:
    """Refuse a directory with something else than the state of a simulation. Raises ``SettingsError``."""
    try:
        if any(state.iterdir()):
            read_saved(state)
    except FileNotFoundError as error:
        if not state.exists():
            return
        raise SettingsError(_not_own(state, f"it has no {COMPLETE}")) from error
    except (OSError, ValueError) as error:
        raise SettingsError(_not_own(state, str(error))) from error


def _not_own(state: Path, reason: str) -> str:
    return (
        f"--report {state.parent}: {state} is not the state of a simulation ({reason}); name another --report, delete "
        "it, or leave --checkpoint-every out"
    )
