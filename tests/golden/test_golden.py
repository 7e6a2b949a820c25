"""What the algorithm and the wire gave before the code was moved and renamed, they give now."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.scenarios import CASES, machine, run_learners, run_wire

EXPECTED: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))
LEAST_AGREEMENT = 0.98  # of mask bits, where another processor rounds its sums in another order


@pytest.mark.parametrize("case", CASES)
def test_the_same_seeds_give_the_same_masks(case: str) -> None:
    found, expected = run_learners(case), EXPECTED["learners"][case]
    assert (found["fingerprint"], found["start"]) == (expected["fingerprint"], expected["start"])
    if machine() == EXPECTED["machine"]:
        assert found["digest"] == expected["digest"]
    for name, mask in expected["masks"].items():
        differing = np.bitwise_xor(_bytes(found["masks"][name]), _bytes(mask))
        assert np.unpackbits(differing).mean() <= 1 - LEAST_AGREEMENT


def test_the_same_masks_give_the_same_bytes_on_the_wire() -> None:
    assert asyncio.run(run_wire()) == EXPECTED["wire"]


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8)
