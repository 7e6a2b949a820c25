"""A node's state on disk: written whole or not at all, and checked when it is read.

One file, ``state``: magic, blake2b-128 of what follows, length of the metadata, the metadata as JSON, the arrays as an
uncompressed npz. A new state is written beside the old one, flushed to the disk, and takes its name; the one before
stays as ``state.old``. So a crash at any moment leaves one of them, and so does a file that rots on the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from dslnode.atomic_file import BlockedFileError, read_file, replace_file
from dslnode.errors import StateError
from dslnode.runtime import directory_owner
from dslnode.runtime.snapshot_metadata import SnapshotMetadata

MAGIC = b"dslnode state 2\n"
FIRST_MAGIC = b"dslnode state 1\n"
"""Of files that may lack the averaged scores."""
DIGEST_BYTES = 16
MAX_BYTES = 1 << 34
NODE_ID_BYTES = 16
MAX_NODE_ID_FILE_BYTES = 1_000


@dataclass(frozen=True)
class Snapshot:
    """Everything that a restart needs: metadata, and arrays by name."""

    metadata: SnapshotMetadata
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Generation:
    """A saved state or best model: its file's name, what it says of itself (None with a ``problem``), time and bytes.

    ``saved`` is in seconds since 1970.
    """

    name: str
    metadata: SnapshotMetadata | None
    problem: str
    saved: float
    size: int


class StateDirectory:
    """The directory that one running node owns. Raises ``StateError`` if it cannot be used.

    ``fell_back`` says why the older of the two states was loaded, if it was, and ``best_fell_back`` why the older best
    model was; ``limits`` what the file system of the directory cannot do, a sentence each.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fell_back = ""
        self.best_fell_back = ""
        self.limits: tuple[str, ...] = ()
        self._file = path / "state"
        self._older = path / "state.old"
        self._best = path / "best"
        self._older_best = path / "best.old"

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Create the directory if need be and hold it: no second node may use it meanwhile.

        ``limits`` then says what its file system cannot do.
        """
        with contextlib.ExitStack() as stack:
            with _explained(self.path):
                self.limits = stack.enter_context(directory_owner.owned(self.path))
            yield

    def node_id(self) -> bytes:
        """Return this node's identity, drawn at its first start."""
        file = self.path / "node-id"
        with _explained(self.path):
            if not os.path.lexists(file):
                replace_file(file, secrets.token_hex(NODE_ID_BYTES).encode() + b"\n")
            text = read_file(file, MAX_NODE_ID_FILE_BYTES).decode("ascii", errors="replace").strip()
        try:
            identity = bytes.fromhex(text)
        except ValueError:
            identity = b""
        if len(identity) != NODE_ID_BYTES:
            raise StateError(f"{file}: holds no node id; remove the file and the node draws a new one")
        return identity

    def save(self, snapshot: Snapshot) -> int:
        """Make the snapshot durable, and keep the one before; return the bytes written."""
        content = pack(snapshot)
        with _explained(self.path):
            replace_file(self._file, content, older=self._older)
        return len(content)

    def save_best(self, snapshot: Snapshot) -> int:
        """Make the snapshot of the best model durable, and keep the best one before; return the bytes written."""
        content = pack(snapshot)
        with _explained(self.path):
            replace_file(self._best, content, older=self._older_best)
        return len(content)

    def load_best(self, take: Callable[[Snapshot], None] = lambda _: None) -> Snapshot | None:
        """Return the newest snapshot of a best model that is whole and that ``take`` takes; None if there is none.

        ``take`` raises ``StateError`` for one that it does not. ``best_fell_back`` says why the newest one was left.
        Raises ``StateError``, of the newest, if none can be taken.
        """
        problems: list[StateError] = []
        for file in (self._best, self._older_best):
            try:
                found = self._read(file)
                if found is not None:
                    take(found)
                    self.best_fell_back = str(problems[0]) if problems else ""
                    return found
            except StateError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        return None

    def generations(self) -> list[Generation]:
        """Return what is saved, newest first: the states, then the best models; damaged ones with their problem."""
        return [
            self._generation(file)
            for file in (self._file, self._older, self._best, self._older_best)
            if os.path.lexists(file)
        ]

    def roll_back(self, name: str) -> SnapshotMetadata:
        """Make the generation of this name the state to go on from; the present state becomes the older one.

        Returns its metadata. Raises ``StateError`` if there is no such generation, or it is damaged.
        """
        known = [generation.name for generation in self.generations()]
        if name not in known:
            listed = ", ".join(known) or "nothing"
            raise StateError(f"{self.path}: holds no {name!r}; it holds {listed} (dslnode rounds lists them)")
        snapshot = self._read(self.path / name)
        assert snapshot is not None, "it is there"
        self.save(snapshot)
        return snapshot.metadata

    def _generation(self, file: Path) -> Generation:
        try:
            saved, problem = self._read(file), ""
        except StateError as error:
            saved, problem = None, str(error)
        facts = file.lstat()
        metadata = None if saved is None else saved.metadata
        return Generation(file.name, metadata, problem, facts.st_mtime, facts.st_size)

    def load(self) -> Snapshot | None:
        """Return the newest snapshot that is whole, or None if there is none yet.

        Nothing is changed; ``fell_back`` says if it is the older one. Raises ``StateError``, of the newest, if none is
        whole.
        """
        try:
            newest, problem = self._read(self._file), f"{self._file}: is missing, after a crash while it was replaced"
        except StateError as error:
            newest, problem = None, str(error)
            older = self._read_or_none(self._older)
            if older is None:
                raise
        else:
            older = self._read(self._older) if newest is None else None
        if older is not None:
            self.fell_back = problem
        return newest or older

    def set_damaged_aside(self) -> None:
        """Keep the newest state, which is damaged, as ``state.damaged``: the next save would make it the older one."""
        with contextlib.suppress(OSError):
            self._file.replace(self.path / "state.damaged")

    def peek(self) -> Snapshot | None:
        """Return the newest snapshot that is whole, whatever is wrong with others; None if there is none."""
        return self._read_or_none(self._file) or self._read_or_none(self._older)

    def of_round(self, number: int) -> Snapshot | None:
        """Return a snapshot of so many finished rounds; None if none is saved."""
        files = (self._file, self._older, self._best, self._older_best)
        found = (self._read_or_none(file) for file in files)
        return next((each for each in found if each is not None and each.metadata.round == number), None)

    def _read_or_none(self, file: Path) -> Snapshot | None:
        try:
            return self._read(file)
        except StateError:
            return None

    def _read(self, file: Path) -> Snapshot | None:
        with _explained(self.path):
            if not os.path.lexists(file):
                return None
            if file.lstat().st_size > MAX_BYTES:
                raise StateError(f"{file}: is too large to be a node's state")
            content = read_file(file, MAX_BYTES)
        try:
            return unpack(content)
        except ValueError as error:
            raise StateError(f"{file}: {error}; restore it or remove it to start from round 0") from error


def pack(snapshot: Snapshot) -> bytes:
    """Return a snapshot as bytes."""
    metadata = json.dumps(snapshot.metadata.model_dump(), sort_keys=True).encode()
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **snapshot.arrays)
    body = struct.pack("<I", len(metadata)) + metadata + arrays.getvalue()
    return MAGIC + _digest(body) + body


def unpack(content: bytes) -> Snapshot:
    """Read a snapshot back; ``ValueError`` saying what is wrong if the bytes are not what ``pack`` made.

    In one of the first version that lacks the averaged scores these begin at the scores.
    """
    if not content.startswith((MAGIC, FIRST_MAGIC)):
        raise ValueError("is not a state file of this version")
    digest, body = content[len(MAGIC) :][:DIGEST_BYTES], content[len(MAGIC) + DIGEST_BYTES :]
    if _digest(body) != digest:
        raise ValueError("is damaged (its checksum does not match)")
    try:
        size = struct.unpack_from("<I", body)[0]
        metadata = SnapshotMetadata.model_validate_json(body[4 : 4 + size])
        with np.load(io.BytesIO(body[4 + size :]), allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        if problem["type"] == "json_invalid":
            raise ValueError(f"is not what dslnode writes ({problem['msg']})") from error
        where = ".".join(map(str, problem["loc"]))
        raise ValueError(f"is of another version of dslnode ({where}: {problem['msg']})") from error
    except Exception as error:  # zipfile and numpy raise whatever they like for bytes that are not theirs
        raise ValueError(f"is not what dslnode writes ({error})") from error
    if content.startswith(FIRST_MAGIC) and "scores" in held:
        held.setdefault("average", held["scores"].copy())
    return Snapshot(metadata, held)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except BlockedFileError as error:
        raise StateError(f"{error.filename}: {error.strerror}") from error
    except OSError as error:
        raise StateError(
            f"{path}: cannot be used as state directory ({error.strerror or error}); "
            "check its permissions and free space, or choose another with --state-dir"
        ) from error
