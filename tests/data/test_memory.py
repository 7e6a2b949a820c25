"""Memory of a node that keeps a small part of a large file: about that part."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from dslnode.data.dataset import load_data_set
from dslnode.data.node_part import load_node_part
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
    part = PartitionSpec(share=(1, 100), classes=(0, 1, 2, 3))
    node_part(load_data_set("digits"), 0.01, part)  # what is imported once
    gc.collect()
    tracemalloc.start()
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


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_rows_of_a_table_are_chosen_before_they_are_encoded(tmp_path: Path, task: str) -> None:
    generator = np.random.default_rng(2)
    lines = [f"{x:.3f},{y:.3f},{'abc'[i % 3]},{i * i % 91}" for i, (x, y) in enumerate(generator.normal(size=(900, 2)))]
    (tmp_path / "a.csv").write_text("x,y,kind,number\n" + "\n".join(lines).replace("c,7", ",7") + "\n")
    spec = f"csv:{tmp_path / 'a.csv'}?target={'kind' if task == 'classification' else 'number'}"
    part = PartitionSpec(share=(2, 5), samples_per_class=20, seed=3)
    one = load_node_part(spec, part, held_out_fraction=0.2, task=task)
    other = node_part(load_data_set(spec, task=task), 0.2, part)
    assert one.notes == other.notes
    for left, right in ((one.train, other.train), (one.held_out, other.held_out)):
        assert left is not None
        assert right is not None
        np.testing.assert_array_equal(left.images, right.images)
        np.testing.assert_array_equal(left.targets, right.targets)


def test_a_node_that_keeps_a_hundredth_of_a_parquet_file_takes_little_memory(tmp_path: Path) -> None:
    columns = {f"s{n}": np.random.default_rng(n).normal(size=40_000).astype(np.float32) for n in range(200)}
    columns["label"] = (np.arange(40_000) % 2).astype(np.float32)
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=2_000)
    del columns
    gc.collect()
    spec = f"parquet:{path}"
    schema = load_node_part(spec, PartitionSpec(share=(1, 1000)), held_out_fraction=0.01).schema
    assert schema is not None
    run = schema.model_copy(update={"scaling": "run"})
    gc.collect()
    for given, limit in ((run, 0.15), (None, 0.4)):  # to find out what columns are takes a sample of each
        tracemalloc.start()
        data = load_node_part(spec, PartitionSpec(share=(1, 100)), held_out_fraction=0.01, schema=given)
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert 380 < len(data.train) < 410
        assert kept < 0.03 * path.stat().st_size
        assert peak < limit * path.stat().st_size
