"""A shard as it is between two windows, in a file: another process goes on from it as if nothing had happened.

Such files hold pickled objects. So a run reads only what it has written itself: it remembers the digest of each file,
and files of any other are refused. What all shards were given in the first place, such as the data, is not in them, but
named by its place in a list.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from dslnode.errors import StateError
from dslnode.simulation.shard import Shard

_given: ContextVar[Sequence[object]] = ContextVar("given")


def write_snapshot(file: Path, shard: Shard) -> bytes:
    """Write a shard, and return the file's digest. Tensors that share memory do so in the file.

    ``OSError`` if it cannot be written.
    """
    places = {id(thing): place for place, thing in enumerate(given_to(shard))}

    class Pickler(pickle.Pickler):
        def reducer_override(self, thing: object) -> Any:
            place = places.get(id(thing))
            return NotImplemented if place is None else (_at, (place,))

    torch.save(shard, file, pickle_module=SimpleNamespace(__name__="pickle", Pickler=Pickler))
    return _digest(file)


def read_snapshot(file: Path, digest: bytes, given: Sequence[object]) -> Shard:
    """Return the shard in a file that was written with this digest, and ``given_to(shard)`` equal to ``given``.

    Raises ``StateError`` if the file is another one.
    """
    if not hmac.compare_digest(_digest(file), digest):
        raise StateError(f"{file}: is not what this simulation has written; see which program changes files there")
    token = _given.set(given)
    try:
        shard: Shard = torch.load(file, weights_only=False)
    finally:
        _given.reset(token)
    return shard


def given_to(shard: Shard) -> list[object]:
    """Return what a shard was given and does not change, in a fixed order."""
    prepared = shard.prepared
    whole = (prepared, prepared.settings, prepared.plan, prepared.plan.neighbours, prepared.pretrained)
    return [*whole, *prepared.parts, *shard.frozen.values()]


def _digest(file: Path) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").digest()


def _at(place: int) -> object:
    return _given.get()[place]
