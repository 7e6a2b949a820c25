"""Memory of a node that keeps a small part of a large file: about that part."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dslnode.data.dataset import load_data_set
from dslnode.data.partition import PartitionSpec, node_part, split_held_out, take_partition

ROWS, SIDE = 40_000, 28
BYTES = ROWS * SIDE * SIDE


def write_idx(directory: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (ROWS, SIDE, SIDE), dtype=np.uint8)
    for part, count in (("train", ROWS), ("t10k", 100)):
        images = np.array([0, 0, 8, 3], np.uint8).tobytes() + np.array([count, SIDE, SIDE], ">u4").tobytes()
        (directory / f"{part}-images-idx3-ubyte").write_bytes(images + values[:count].tobytes())
        labels = np.array([0, 0, 8, 1], np.uint8).tobytes() + np.array([count], ">u4").tobytes()
        (directory / f"{part}-labels-idx1-ubyte").write_bytes(
            labels + (np.arange(count) % 10).astype(np.uint8).tobytes()
        )


@pytest.mark.parametrize("has_test", [True, False])
def test_a_node_that_keeps_a_hundredth_of_an_idx_file_takes_little_memory(tmp_path: Path, has_test: bool) -> None:
    write_idx(tmp_path)
    if not has_test:
        for path in tmp_path.glob("t10k*"):
            path.unlink()
    gc.collect()
    tracemalloc.start()
    part = PartitionSpec(share=(1, 100), classes=(0, 1, 2, 3), samples_per_class=None)
    data = node_part(load_data_set(f"idx:{tmp_path}"), 0.01, part)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 120 < len(data.train) <= 160
    assert kept < 0.02 * BYTES
    assert peak < 0.08 * BYTES


def test_the_part_is_the_same_as_by_two_steps() -> None:
    data = load_data_set("digits")
    for spec in (PartitionSpec(), PartitionSpec(share=(2, 3), split=("dirichlet", 0.5), samples_per_class=20, seed=4)):
        one, other = node_part(data, 0.2, spec), take_partition(split_held_out(data, 0.2, spec.seed), spec)
        for left, right in ((one.train, other.train), (one.held_out, other.held_out)):
            assert left is not None
            assert right is not None
            np.testing.assert_array_equal(left.stored, right.stored)
            np.testing.assert_array_equal(left.labels, right.labels)
            assert left.full_scale == right.full_scale
