"""A mask coded against what the receiver holds of it already, and on its own: a part of a layer at a time, the smaller.

Both ends of a link keep the same ``Reference``: the last mask that went over it, which bits flipped in the last few,
and how often bits of each class did. A bit's class is the reference's bit and how lately it flipped. The flips of a
class are coded as one run of bits with the class's own share of ones.
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
"""Weights that are coded at a time: memory stays small, however large a layer is."""
BLOCK = 1 << 16
"""Weights whose positions are held at a time."""
SAME, CHANGES, WHOLE = range(3)
MODES = (1, 6, 1)
"""How likely a part is as it was, changed, or coded on its own."""
CLASSES = 6  # base bit 0 or 1; flipped in none of the last masks, in an older one, in the newest
MEMORY = 4
"""Last masks whose flips count as lately."""
FIRST_LEVELS = (EVEN - 5 * STEPS, EVEN - 4 * STEPS, *(EVEN - 2 * STEPS,) * 4, EVEN - STEPS)
"""The levels of the classes before anything was sent, and of a part coded on its own."""
LEVEL_WEIGHTS = tuple((1 << 20) // (1 if not step else 3 + step * step) for step in range(1 - LEVELS, LEVELS))
"""How likely a level differs from the last one of its class by -608 to 608."""


class ReferenceChoice(IntEnum):
    """Which base a mask is coded against; the numbers are those of the wire."""

    LAST = 0  # the last mask of this direction, over this link or an earlier one
    START = 1  # the mask that both nodes started from
    NONE = 2


@dataclass(frozen=True, eq=False)
class Reference:
    """What both ends know: the mask, the flips of the last masks (newest first), the last levels by part."""

    mask: Mask
    flips: tuple[frozenbitarray, ...] = ()
    levels: tuple[tuple[int, ...], ...] = ()

    @property
    def digest(self) -> bytes:
        """8 bytes, equal exactly where two bases are."""
        found = hashlib.blake2b(self.mask.to_bytes(), digest_size=8)
        for flips in self.flips:
            found.update(flips.tobytes())
        found.update(repr(self.levels).encode())
        return found.digest()


def encode(mask: Mask, base: Reference | None) -> tuple[bytes, Reference]:
    """Return the coded mask and the base for the next one."""
    writer, bits, levels = Writer(), bitarray(mask.bits), []
    for (start, stop), old in zip(parts(mask.layout), _levels(base, mask.layout), strict=True):
        levels.append(_write_part(writer, _bits(bits, start, stop), _Known.of(base, start, stop), old))
    return writer.finish(), next_reference(mask, base, tuple(levels))


def decode(layout: MaskLayout, data: bytes, base: Reference | None) -> tuple[Mask, Reference]:
    """Return the mask and the base for the next one; bytes that nobody wrote may give any mask.

    Raises ``ValueError`` if they cannot be read.
    """
    reader, levels, packed = Reader(data), [], bitarray(endian="little")
    for (start, stop), old in zip(parts(layout), _levels(base, layout), strict=True):
        bits, new = _read_part(reader, stop - start, _Known.of(base, start, stop), old)
        levels.append(new)
        packed += _packed(bits)
    mask = Mask(layout, frozenbitarray(packed))
    return mask, next_reference(mask, base, tuple(levels))


def next_reference(mask: Mask, base: Reference | None, levels: tuple[tuple[int, ...], ...] = ()) -> Reference:
    """Return the base after a mask was sent: without levels, by another codec than this one."""
    if base is None:
        return Reference(mask, (), levels)
    flips = frozenbitarray(mask.bits ^ base.mask.bits)
    return Reference(mask, (flips, *base.flips[: MEMORY - 1]), levels or base.levels)


def parts(layout: MaskLayout) -> Iterator[tuple[int, int]]:
    """Yield where each part begins and ends: no part has bits of two layers."""
    for _, span in layout.spans():
        for start in range(span.start, span.stop, PART):
            yield start, min(start + PART, span.stop)


@dataclass(frozen=True)
class _Known:
    """A part of the base: its bits, and the class of each."""

    bits: Bits
    kinds: Bits

    @classmethod
    def of(cls, base: Reference | None, start: int, stop: int) -> _Known | None:
        """Sort the part's bits into classes."""
        if base is None:
            return None
        bits = _bits(base.mask.bits, start, stop)
        newest, older = _lately(base.flips[:1], start, stop), _lately(base.flips[1:], start, stop)
        kinds = bits | newest << 2 | (older & ~newest) << 1
        return cls(bits, kinds.astype(np.uint8, copy=False))

    def positions(self, kind: int) -> Iterator[NDArray[np.intp]]:
        """Yield the positions of the bits of a class a block at a time: they take eight bytes each."""
        for start in range(0, len(self.kinds), BLOCK):
            yield start + np.flatnonzero(self.kinds[start : start + BLOCK] == kind)


def _write_part(writer: Writer, bits: Bits, known: _Known | None, old: tuple[int, ...]) -> tuple[int, ...]:
    level, whole = _choose(int(np.count_nonzero(bits)), len(bits), old[CLASSES])
    if known is not None:
        flips = bits ^ known.bits
        if not flips.any():
            writer.number(SAME, MODES)
            return old
        runs = [np.concatenate([flips[found] for found in known.positions(kind)]) for kind in range(CLASSES)]
        chosen = [_choose(int(np.count_nonzero(run)), len(run), before) for run, before in zip(runs, old, strict=False)]
        if sum(cost for _, cost in chosen) <= whole:
            writer.number(CHANGES, MODES)
            for run, (new, _), before in zip(runs, chosen, old, strict=False):
                _write_run(writer, run, new, before)
            return (*(new for new, _ in chosen), old[CLASSES])
    writer.number(WHOLE, MODES)
    _write_run(writer, bits, level, old[CLASSES])
    return (*old[:CLASSES], level)


def _read_part(reader: Reader, size: int, known: _Known | None, old: tuple[int, ...]) -> tuple[Bits, tuple[int, ...]]:
    mode = reader.number(MODES)
    if mode == WHOLE:
        bits, level = _read_run(reader, size, old[CLASSES])
        return bits, (*old[:CLASSES], level)
    if known is None:
        raise ValueError("the mask is coded against one that is not here")
    if mode == SAME:
        return known.bits, old
    flips, levels = np.zeros(size, dtype=np.uint8), []
    for kind, before in enumerate(old[:CLASSES]):
        run, level = _read_run(reader, int(np.count_nonzero(known.kinds == kind)), before)
        used = 0
        for found in known.positions(kind):
            flips[found] = run[used : used + len(found)]
            used += len(found)
        levels.append(level)
    return known.bits ^ flips, (*levels, old[CLASSES])


def _choose(ones: int, size: int, before: int) -> tuple[int, int]:
    """Return the level at which a run costs least, and that cost, the change of level included."""
    if not size:
        return before, 0
    costs = run_costs(ones, size) + level_costs()[LEVELS - 1 - before : 2 * LEVELS - 1 - before]
    level = int(costs.argmin())
    return level, int(costs[level])


@cache
def level_costs() -> NDArray[np.int64]:
    """Return what it costs, about, to change a level by -608 to 608, in 1/65536 bits."""
    return np.array([COST_ONE * (1 + 2 * (abs(step)).bit_length()) for step in range(1 - LEVELS, LEVELS)])


def _write_run(writer: Writer, run: Bits, level: int, before: int) -> None:
    if len(run):
        writer.number(level - before + LEVELS - 1, LEVEL_WEIGHTS)
        writer.run(run, level)


def _read_run(reader: Reader, size: int, before: int) -> tuple[Bits, int]:
    if not size:
        return np.zeros(0, dtype=np.uint8), before
    level = reader.number(LEVEL_WEIGHTS) - LEVELS + 1 + before
    if not 0 <= level < LEVELS:
        raise ValueError("a share of flips is out of bounds")
    return reader.run(size, level), level


def _levels(base: Reference | None, layout: MaskLayout) -> tuple[tuple[int, ...], ...]:
    if base is not None and base.levels:
        return base.levels
    return (FIRST_LEVELS,) * sum(1 for _ in parts(layout))


def _lately(flips: tuple[frozenbitarray, ...], start: int, stop: int) -> Bits:
    found = np.zeros(stop - start, dtype=np.uint8)
    for one in flips:
        found |= _bits(one, start, stop)
    return found


def _bits(bits: bitarray, start: int, stop: int) -> Bits:
    """Return some bits, one a byte."""
    packed = np.frombuffer(bits[start:stop].tobytes(), dtype=np.uint8)
    return np.unpackbits(packed, count=stop - start, bitorder="little")


def _packed(bits: Bits) -> bitarray:
    packed = bitarray(buffer=np.packbits(bits, bitorder="little").tobytes(), endian="little")
    return packed[: len(bits)]
