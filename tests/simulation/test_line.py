"""Messages wait for a node's line in order; a newer keep mask takes the place of one that waits."""

from __future__ import annotations

from bitarray import bitarray, frozenbitarray

from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage, Unchanged
from dslnode.simulation.line import Line

LAYOUT = MaskLayout((MaskLayer("weight", (1, 8)),))


def keep_mask(number: int) -> MaskMessage:
    return MaskMessage(number, MaskKind.KEEP, Mask(LAYOUT, frozenbitarray(bitarray(8, endian="little"))))


def test_a_keep_mask_replaces_one_for_the_same_neighbour() -> None:
    line = Line()
    for peer, message in (("a", keep_mask(0)), ("b", keep_mask(0)), ("a", Unchanged(0)), ("a", keep_mask(1))):
        line.queue(peer, message)
    assert list(line.waiting) == [("b", keep_mask(0)), ("a", Unchanged(0)), ("a", keep_mask(1))]


def test_what_waits_for_a_neighbour_that_left_is_dropped() -> None:
    line = Line()
    for peer in ("a", "b", "a"):
        line.queue(peer, Unchanged(0))
    line.drop("a")
    assert list(line.waiting) == [("b", Unchanged(0))]
