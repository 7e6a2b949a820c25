"""The bits in which two masks differ, as lists of positions: for nodes without the range coder.

The format is bitarray's ``sc_encode`` without its first bytes. They say how many bits there are, which the layout
tells, and which must not be taken from a peer.
"""

from __future__ import annotations

from bitarray import bitarray, frozenbitarray
from bitarray.util import sc_decode, sc_encode

from dslnode.protocol.mask import Mask, MaskLayout


def encode(mask: Mask, reference: Mask) -> bytes:
    """Return the coded differences."""
    coded = sc_encode(bitarray(mask.bits ^ reference.bits))
    return coded[_head_size(coded) :]


def decode(layout: MaskLayout, data: bytes, reference: Mask | None) -> Mask:
    """Return the mask; ``ValueError`` if it cannot be read."""
    if reference is None:
        raise ValueError("it is coded against a mask that is not here")
    empty = sc_encode(bitarray(layout.size, endian="little"))
    stream = iter(empty[: _head_size(empty)] + data)
    try:
        flips = sc_decode(stream)
    except StopIteration as error:
        raise ValueError("it ends too early") from error
    if next(stream, None) is not None:
        raise ValueError("bytes follow after its end")
    return Mask(layout, frozenbitarray(flips ^ reference.bits))


def _head_size(coded: bytes) -> int:
    return 1 + (coded[0] & 0x0F)
