"""What follows from the seed."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.protocol import frozen_bits
from dslnode.protocol.frozen_bits import seeded_bits
from dslnode.protocol.mask import MaskLayer, MaskLayout

LAYOUT = MaskLayout((MaskLayer("a", (30, 20)), MaskLayer("b", (7,))))


@pytest.mark.parametrize("counts", [(0, 0), (600, 7), (180, 3), (1, 6)])
def test_the_highest_scores_of_each_layer_are_chosen(counts: tuple[int, int]) -> None:
    bits = seeded_bits(LAYOUT, 5, counts)
    for index, ((_, span), count) in enumerate(zip(LAYOUT.spans(), counts, strict=True)):
        words = frozen_bits.seeded_score_words(LAYOUT, 5, index)
        order = np.argsort(-words, kind="stable")
        assert sorted(np.flatnonzero(bits[span])) == sorted(order[:count])


def test_low_places_win_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.array([3, 1, 2, 2, 2, 0, 2], np.int32)
    monkeypatch.setattr(frozen_bits, "seeded_score_words", lambda *_: words)
    layout = MaskLayout((MaskLayer("a", (7,)),))
    assert [seeded_bits(layout, 1, (count,)).tolist() for count in (1, 3, 6)] == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 0, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 1],
    ]
