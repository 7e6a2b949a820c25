"""The wire's benchmark at tiny size: its parts measure for real, and its summary keeps the contract."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from benchmarks.namespaces import missing
from benchmarks.wire import __main__ as benchmark
from benchmarks.wire.__main__ import summary_of
from benchmarks.wire.coding import drawn_masks, row
from benchmarks.wire.nodes import Run, node_row
from benchmarks.wire.sending import wire_row
from benchmarks.wire.settling import DIGITS, settling_rows

KEYS = {
    "coded_over_floor",
    "wire_over_coded_20kB",
    "encode_weights_per_second",
    "decode_weights_per_second",
    "ring_bytes_per_node_round_first3",
    "ring_bytes_per_node_round_settled",
    "mesh_bytes_per_node_round_settled",
}
TINY = Run(
    60, 20, 600.0, ("--data", "digits", "--samples-per-class", "3", "--local-steps", "1", "--evaluate-every", "99")
)


def test_sizes_and_bytes_on_the_wire_are_measured_without_root() -> None:
    coding = [row("flips of 1%", drawn_masks(20_000, 0.01, 4), 1)]
    sending = [asyncio.run(wire_row(20_000, 3))]
    summary = summary_of(coding, sending, [])
    assert set(summary) == KEYS
    assert 0.9 < summary["coded_over_floor"] < 1.2
    assert 1.0 < summary["wire_over_coded_20kB"] < 1.1
    assert {key for key, value in summary.items() if value is None} == {key for key in KEYS if "per_node" in key}


@pytest.mark.process  # git says which commit measures
def test_the_json_file_has_a_row_a_measurement_and_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        "_coding": [row("flips of 1%", drawn_masks(20_000, 0.01, 4), 1)],
        "_sending": [asyncio.run(wire_row(500, 3))],
        "_nodes": [{"what": graph, "first3_bytes": 2.0, "settled_bytes": 1.0} for graph in ("ring", "mesh")],
    }
    for part, rows in parts.items():
        monkeypatch.setattr(benchmark, part, lambda _, rows=rows: rows)
    monkeypatch.setattr(sys, "argv", ["wire", "--quick", "--json", str(tmp_path / "wire.json")])
    assert benchmark.main() == 0
    found = json.loads((tmp_path / "wire.json").read_text(encoding="utf-8"))
    assert [one["what"] for one in found["rows"]] == [one["what"] for rows in parts.values() for one in rows]
    assert set(found["summary"]) == KEYS
    assert all(isinstance(value, float) for value in found["summary"].values())


def test_sign_masks_are_counted_as_nodes_settle() -> None:
    first, second = settling_rows("mesh", (1, 2), {**DIGITS, "seed": 1, "local_steps": 1})
    assert (first["sent"], second["sent"]) == (3.0, 3.0), "to each of three neighbours"
    assert first["what"] == "mesh, digits"
    assert 0 < second["accuracy"] < 100


@pytest.mark.process
@pytest.mark.skipif(missing() is not None, reason=f"needs network namespaces: {missing()}")
@pytest.mark.slow  # `benchmarks.wire` itself, with four daemons
def test_daemons_in_a_ring_are_counted_by_the_kernel() -> None:
    found = node_row("ring", TINY)
    assert found["rounds"] >= 60
    assert found["settled_rounds"] >= 20
    assert found["first3_bytes"] > 2 * 18_944 / 4 / 8, "a sign mask to each of two neighbours"
    assert 0 < found["settled_bytes"] < found["first3_bytes"]
