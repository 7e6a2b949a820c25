"""Codes a mask against a reference that the receiver holds, or alone: per part of a layer, whichever is shorter.

Both ends of a link keep the same ``Reference``: the last mask that crossed it, which bits flipped in the last few
masks, and the share of ones of each class. A bit's class is its value in the reference and how lately it flipped. The
flips of a class are coded as one run of bits, with the class's own share of ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
from bitarray import bitarray, frozenbitarray
from numpy.typing import NDArray

from dslnode.protocol.codec.range_coder import COST_ONE, EVEN, LEVELS, STEPS, Bits, Reader, Writer, run_costs
from dslnode.protocol.mask import Mask, MaskLayout

PART = 1 << 20
"""Weights per part: this bounds the memory, however large a layer is."""
BLOCK = 1 << 16
"""Weights whose positions are in memory at a time."""
SAME, CHANGES, WHOLE = range(3)
MODES = (1, 6, 1)
"""Weights of the modes of a part: equal to the reference, coded as flips, coded alone."""
CLASSES = 6
"""Classes of bits: value 0 or 1 in the reference, and flipped in none of the last masks, an older one, the newest."""
MEMORY = 4
"""Last masks whose flips decide the class."""
FIRST_LEVELS = (EVEN - 5 * STEPS, EVEN - 4 * STEPS, *(EVEN - 2 * STEPS,) * 4, EVEN - STEPS)
"""Levels before anything was sent: of the classes, and of a part that is coded alone."""
LEVEL_WEIGHTS = tuple((1 << 20) // (1 if not step else 3 + step * step) for step in range(1 - LEVELS, LEVELS))
"""Weights of the changes of a level, from -608 to 608."""

Levels = tuple[int, ...]
"""Levels of one part: one per class, and that of the part coded alone."""


class ReferenceChoice(IntEnum):
    """The reference that a mask is coded against. The numbers are those on the wire."""

    LAST = 0  # the last mask of this direction, over this link or an earlier one
    START = 1  # the mask that both nodes started from
    NONE = 2


@dataclass(frozen=True, eq=False)
class Reference:
    """What both ends of a link know of one direction."""

    mask: Mask  # the last one
    flips: tuple[frozenbitarray, ...] = ()  # bits that flipped in the last masks, newest first
    levels: tuple[Levels, ...] = ()  # levels last used, per part

    @property
    def digest(self) -> bytes:
        """8 bytes of blake2b: equal exactly if the references are."""
        digest = hashlib.blake2b(self.mask.to_bytes(), digest_size=8)
        for flips in self.flips:
            digest.update(flips.tobytes())
        digest.update(repr(self.levels).encode())
        return digest.digest()


def encode(mask: Mask, reference: Reference | None) -> tuple[bytes, Reference]:
    """Return the coded mask, and the reference for the next one."""
    writer, bits, levels = Writer(), bitarray(mask.bits), []
    for (start, stop), old_levels in zip(parts(mask.layout), _levels(reference, mask.layout), strict=True):
        part = _ReferencePart.of(reference, start, stop)
        levels.append(_write_part(writer, _bits(bits, start, stop), part, old_levels))
    return writer.finish(), next_reference(mask, reference, tuple(levels))


def decode(layout: MaskLayout, data: bytes, reference: Reference | None) -> tuple[Mask, Reference]:
    """Return the mask, and the reference for the next one. Damaged bytes may give any mask.

    Raises ``ValueError`` if they cannot be read.
    """
    reader, levels, packed = Reader(data), [], bitarray(endian="little")
    for (start, stop), old_levels in zip(parts(layout), _levels(reference, layout), strict=True):
        part = _ReferencePart.of(reference, start, stop)
        bits, new_levels = _read_part(reader, stop - start, part, old_levels)
        levels.append(new_levels)
        packed += _packed(bits)
    mask = Mask(layout, frozenbitarray(packed))
    return mask, next_reference(mask, reference, tuple(levels))


def next_reference(mask: Mask, reference: Reference | None, levels: tuple[Levels, ...] = ()) -> Reference:
    """Return the reference after ``mask`` was sent. Without ``levels``: it was sent by another codec than this one."""
    if reference is None:
        return Reference(mask, (), levels)
    flips = frozenbitarray(mask.bits ^ reference.mask.bits)
    return Reference(mask, (flips, *reference.flips[: MEMORY - 1]), levels or reference.levels)


def parts(layout: MaskLayout) -> Iterator[tuple[int, int]]:
    """Yield the first bit of each part and the one after its last. No part has bits of two layers."""
    for _, span in layout.spans():
        for start in range(span.start, span.stop, PART):
            yield start, min(start + PART, span.stop)


@dataclass(frozen=True)
class _ReferencePart:
    """A part of the reference: the value and the class of each bit."""

    bits: Bits
    classes: Bits

    @classmethod
    def of(cls, reference: Reference | None, start: int, stop: int) -> _ReferencePart | None:
        """Sort the part's bits into classes."""
        if reference is None:
            return None
        bits = _bits(reference.mask.bits, start, stop)
        newest = _any_flip(reference.flips[:1], start, stop)
        older = _any_flip(reference.flips[1:], start, stop)
        classes = bits | newest << 2 | (older & ~newest) << 1
        return cls(bits, classes.astype(np.uint8, copy=False))

    def positions(self, bit_class: int) -> Iterator[NDArray[np.intp]]:
        """Yield the positions of the bits of a class, a block at a time: a position takes eight bytes."""
        for start in range(0, len(self.classes), BLOCK):
            yield start + np.flatnonzero(self.classes[start : start + BLOCK] == bit_class)


def _write_part(writer: Writer, bits: Bits, part: _ReferencePart | None, old_levels: Levels) -> Levels:
    """Write a part in the mode that costs least; return its levels for the next mask."""
    level, whole_cost = _choose_level(int(np.count_nonzero(bits)), len(bits), old_levels[CLASSES])
    if part is not None:
        flips = bits ^ part.bits
        if not flips.any():
            writer.number(SAME, MODES)
            return old_levels
        runs = [np.concatenate([flips[block] for block in part.positions(number)]) for number in range(CLASSES)]
        chosen = [
            _choose_level(int(np.count_nonzero(run)), len(run), old) for run, old in zip(runs, old_levels, strict=False)
        ]
        if sum(cost for _, cost in chosen) <= whole_cost:
            writer.number(CHANGES, MODES)
            for run, (new, _), old in zip(runs, chosen, old_levels, strict=False):
                _write_run(writer, run, new, old)
            return (*(new for new, _ in chosen), old_levels[CLASSES])
    writer.number(WHOLE, MODES)
    _write_run(writer, bits, level, old_levels[CLASSES])
    return (*old_levels[:CLASSES], level)


def _read_part(reader: Reader, size: int, part: _ReferencePart | None, old_levels: Levels) -> tuple[Bits, Levels]:
    """Read a part of ``size`` bits; return them, and its levels for the next mask."""
    mode = reader.number(MODES)
    if mode == WHOLE:
        bits, level = _read_run(reader, size, old_levels[CLASSES])
        return bits, (*old_levels[:CLASSES], level)
    if part is None:
        raise ValueError("the mask is coded against a reference that is not here")
    if mode == SAME:
        return part.bits, old_levels
    flips, levels = np.zeros(size, dtype=np.uint8), []
    for bit_class, old in enumerate(old_levels[:CLASSES]):
        run, level = _read_run(reader, int(np.count_nonzero(part.classes == bit_class)), old)
        used = 0
        for block in part.positions(bit_class):
            flips[block] = run[used : used + len(block)]
            used += len(block)
        levels.append(level)
    return part.bits ^ flips, (*levels, old_levels[CLASSES])


def _choose_level(ones: int, size: int, old: int) -> tuple[int, int]:
    """Return the level at which a run costs least, and that cost, with that of the change of level."""
    if not size:
        return old, 0
    costs = run_costs(ones, size) + level_costs()[LEVELS - 1 - old : 2 * LEVELS - 1 - old]
    level = int(costs.argmin())
    return level, int(costs[level])


@cache
def level_costs() -> NDArray[np.int64]:
    """Return about what the changes of a level from -608 to 608 cost, in 1/65536 bits."""
    return np.array([COST_ONE * (1 + 2 * (abs(step)).bit_length()) for step in range(1 - LEVELS, LEVELS)])


def _write_run(writer: Writer, run: Bits, level: int, old: int) -> None:
    if len(run):
        writer.number(level - old + LEVELS - 1, LEVEL_WEIGHTS)
        writer.run(run, level)


def _read_run(reader: Reader, size: int, old: int) -> tuple[Bits, int]:
    if not size:
        return np.zeros(0, dtype=np.uint8), old
    level = reader.number(LEVEL_WEIGHTS) - LEVELS + 1 + old
    if not 0 <= level < LEVELS:
        raise ValueError("a share of flips is out of bounds")
    return reader.run(size, level), level


def _levels(reference: Reference | None, layout: MaskLayout) -> tuple[Levels, ...]:
    if reference is not None and reference.levels:
        return reference.levels
    return (FIRST_LEVELS,) * sum(1 for _ in parts(layout))


def _any_flip(masks: tuple[frozenbitarray, ...], start: int, stop: int) -> Bits:
    """Return 1 for the bits of a part that flipped in any of these masks."""
    flipped = np.zeros(stop - start, dtype=np.uint8)
    for flips in masks:
        flipped |= _bits(flips, start, stop)
    return flipped


def _bits(bits: bitarray, start: int, stop: int) -> Bits:
    """Return bits ``start`` to ``stop``, one per byte."""
    packed = np.frombuffer(bits[start:stop].tobytes(), dtype=np.uint8)
    return np.unpackbits(packed, count=stop - start, bitorder="little")


def _packed(bits: Bits) -> bitarray:
    packed = bitarray(buffer=np.packbits(bits, bitorder="little").tobytes(), endian="little")
    return packed[: len(bits)]
