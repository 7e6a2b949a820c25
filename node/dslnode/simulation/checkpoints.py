"""What a simulation saves to go on later: each node's learner after the same round, as daemons do.

``state/round-N/I.npz`` is what node I had learned after round N. A round is complete once every node has written it;
then older ones are removed. A simulation that goes on does so as boards do after a power cut: every node starts again
from that round, at the virtual time at which it had finished it, and links open anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dslnode.errors import StateError
from dslnode.simulation.plan import SimulationPlan
from dslnode.simulation.records import RoundRecord

MAX_FILE_BYTES = 4 << 30


def identity_of(settings: str, plan: SimulationPlan) -> str:
    """Return a digest that is equal where two simulations differ in nothing but when they end."""
    facts = {name: value for name, value in asdict(plan).items() if name != "until_score"}
    return hashlib.blake2b(f"{settings} {facts}".encode(), digest_size=16).hexdigest()


class Checkpoints:
    """The saved states of one simulation below ``directory``, every so many rounds; 0 for none.

    ``identity`` tells it from others.
    """

    def __init__(self, directory: Path, identity: str, *, nodes: int, every: int) -> None:
        self._directory = directory / "state"
        self._identity = identity
        self.every = every
        self._nodes = nodes
        self._written: defaultdict[int, set[int]] = defaultdict(set)

    def clear(self) -> None:
        """Remove what a former simulation saved here."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def is_due(self, round_number: int) -> bool:
        """Return whether a node is to save its state after this round."""
        return bool(self.every) and round_number % self.every == 0

    def save(self, node: int, records: Sequence[RoundRecord], arrays: Mapping[str, np.ndarray]) -> None:
        """Save what a node has learned after the round of the last record; ``records`` are those of all nodes.

        Raises ``StateError`` if that cannot be written.
        """
        number = records[-1].round
        place = self._place(number)
        try:
            place.mkdir(parents=True, exist_ok=True)
            np.savez(place / f"{node}.npz", allow_pickle=False, **arrays)
            self._written[number].add(node)
            if len(self._written[number]) == self._nodes:
                self._complete(number, [record for record in records if record.round <= number])
        except OSError as error:
            raise StateError(
                f"{place}: cannot be written ({error.strerror}); make room, or leave --checkpoint-every out"
            ) from error

    def load_records(self) -> list[RoundRecord]:
        """Return the records up to the newest round that is complete.

        Raises ``StateError`` if there is none, or it is of another simulation.
        """
        file = self._directory / "complete.json"
        try:
            if file.stat().st_size > MAX_FILE_BYTES:
                raise ValueError("larger than any simulation's")
            content = json.loads(file.read_text(encoding="utf-8"))
            identity, rows = content["identity"], content["records"]
            records = [RoundRecord(**row) for row in rows]
        except FileNotFoundError as error:
            raise StateError(f"{file}: there is no saved state to go on from; leave --resume out") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateError(f"{file}: cannot be read ({error}); leave --resume out to begin anew") from error
        if identity != self._identity:
            raise StateError(
                f"{file}: is of another simulation; repeat the options in {self._directory.parent / 'command.txt'}, "
                "or leave --resume out"
            )
        self._written.clear()
        return records

    def load_node(self, node: int, round_number: int) -> dict[str, np.ndarray]:
        """Return what a node had learned after a complete round. Raises ``StateError`` if it cannot be read."""
        file = self._place(round_number) / f"{node}.npz"
        try:
            if file.stat().st_size > MAX_FILE_BYTES:
                raise ValueError("larger than any node's")
            with np.load(file, allow_pickle=False) as archive:
                return dict(archive)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise StateError(f"{file}: cannot be read ({error}); leave --resume out to begin anew") from error

    def _complete(self, number: int, records: Sequence[RoundRecord]) -> None:
        content = {"identity": self._identity, "records": [asdict(record) for record in records]}
        beside = self._directory / "complete.json.new"
        beside.write_text(json.dumps(content), encoding="utf-8")
        beside.replace(self._directory / "complete.json")
        for older in [written for written in self._written if written < number]:
            del self._written[older]
            shutil.rmtree(self._place(older), ignore_errors=True)

    def _place(self, number: int) -> Path:
        return self._directory / f"round-{number}"
