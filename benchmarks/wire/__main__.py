"""What masks cost on the wire: coded size against the entropy, framing, speed, and bytes a node and round.

Goals of the project: coded at most 1.02 times the conditional entropy, on the wire at most 1.03 times that for
messages of 20 kB, 50 million weights a second each way, and for four nodes with 206,922 weights at most 30 kB a node
and round in the first three rounds and 1.5 kB in the settled state. The last part needs root and Fashion-MNIST.
"""

from __future__ import annotations

import asyncio
import statistics
import sys

from benchmarks.daemons import FASHION_MNIST
from benchmarks.namespaces import missing
from benchmarks.report import Column, Report, Row, arguments, publish
from benchmarks.wire.coding import FLIPS, MODEL, WEIGHTS, drawn_masks, memory_row, recorded_masks, row
from benchmarks.wire.nodes import Run, node_row
from benchmarks.wire.segments import segment_row
from benchmarks.wire.sending import wire_row

TASK = ("--data", f"idx:{FASHION_MNIST}", "--model", MODEL, "--evaluate-every", "100")
FULL_RUN = Run(300, 10, 7_200.0, (*TASK, "--samples-per-class", "100"))
QUICK_STEPS = ("--local-steps", "3", "--batch-size", "8", "--samples-per-class", "10", "--lr-decay-after-steps", "40")
QUICK_RUN = Run(300, 10, 75.0, (*TASK, *QUICK_STEPS))
"""A tenth of the steps in each round, and in the part in which the rate is steady."""
KEEP = ("--exchange", "keep")
COLUMNS = (
    Column("what", "what"),
    Column("coded_bytes", "coded bytes", ",.0f"),
    Column("coded_over_floor", "over entropy", ".3f"),
    Column("coded_over_raw", "over raw", ".4f"),
    Column("coded_over_float32", "over float32", ".5f"),
    Column("coded_over_zstd", "over zstd", ".2f"),
    Column("coded_over_sc_encode", "over sc_encode", ".2f"),
    Column("encode_weights_per_second", "encoded weights/s", ",.0f"),
    Column("decode_weights_per_second", "decoded weights/s", ",.0f"),
    Column("wire_over_coded", "wire over coded", ".3f"),
    Column("first3_bytes", "bytes a node and round, first 3", ",.0f"),
    Column("settled_bytes", "settled", ",.0f"),
    Column("rounds", "rounds", ",.0f"),
)


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    coding = _coding(chosen.quick)
    sending = _sending(50 if chosen.quick else 300)
    nodes = _nodes(chosen.quick)
    publish("The wire", COLUMNS, Report([*coding, *sending, *nodes], summary_of(coding, sending, nodes)), chosen.json)
    return 0


def _sending(messages: int) -> list[Row]:
    """Return what messages take between namespaces, if they can be made, with packets of 1,500 bytes; on loopback."""
    rows = [segment_row(size, messages) for size in (20_000, 500)] if missing() is None else []
    return rows + [asyncio.run(wire_row(size, messages)) for size in (20_000, 500)]


def _coding(quick: bool) -> list[Row]:
    count = 6 if quick else 21
    rows = [row(f"flips of {share:.2%}", drawn_masks(WEIGHTS, share, count), 2) for share in FLIPS]
    rows.append(row("flips of 0.20%, large", drawn_masks(4_000_000, 0.002, 4), 2))
    if FASHION_MNIST.is_dir():
        masks = recorded_masks(12 if quick else 200)
        rows.append(row("recorded, first 3 rounds", masks[:4], 1))
        rows.append(row("recorded, settled", masks, 2 * len(masks) // 3))
    return [*rows, memory_row(4_000_000 if quick else 100_000_000)]


def _nodes(quick: bool) -> list[Row]:
    if missing() is not None or not FASHION_MNIST.is_dir():
        return []
    run = QUICK_RUN if quick else FULL_RUN
    rows = [node_row(graph, run) for graph in ("ring", "mesh")]
    return rows + [node_row(graph, run, *KEEP) for graph in ("ring", "mesh")]


def summary_of(coding: list[Row], sending: list[Row], nodes: list[Row]) -> Row:
    """Return the figures with goals: of sizes the worst from 0.1 % of flips on, of speeds the median.

    What goes over the wire is that of the first row of ``sending``; nodes are those with default settings, None where
    they could not be run.
    """
    sized = [one for one in coding if one.get("flips", 0) >= 0.001]
    ring, mesh = nodes[:2] or ({}, {})
    return {
        "coded_over_floor": max(one["coded_over_floor"] for one in sized),
        "wire_over_coded_20kB": sending[0]["wire_over_coded"],
        **{
            f"{way}_weights_per_second": statistics.median(one[f"{way}_weights_per_second"] for one in sized)
            for way in ("encode", "decode")
        },
        "ring_bytes_per_node_round_first3": ring.get("first3_bytes"),
        "ring_bytes_per_node_round_settled": ring.get("settled_bytes"),
        "mesh_bytes_per_node_round_settled": mesh.get("settled_bytes"),
    }


if __name__ == "__main__":
    sys.exit(main())
