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
from benchmarks.wire.coding import FLIPS, WEIGHTS, drawn_masks, memory_row, recorded_masks, row
from benchmarks.wire.nodes import node_row
from benchmarks.wire.sending import wire_row

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
)


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    coding = _coding(chosen.quick)
    sending = [asyncio.run(wire_row(size, 50 if chosen.quick else 300)) for size in (20_000, 500)]
    nodes = _nodes(chosen.quick)
    summary = {**_summary(coding, sending), **_node_summary(nodes)}
    publish("The wire", COLUMNS, Report([*coding, *sending, *nodes], summary), chosen.json)
    return 0


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
    rounds, last = (20, 5) if quick else (300, 50)
    return [
        node_row("ring", rounds, last, *KEEP),
        node_row("mesh", rounds, last, *KEEP),
        node_row("ring", rounds, last),
        node_row("ring", rounds, last, "--skip-below", "0.2"),
    ]


def _summary(coding: list[Row], sending: list[Row]) -> Row:
    """Return the figures with goals: of sizes the worst from 0.1 % of flips on, of speeds the median."""
    sized = [one for one in coding if one.get("flips", 0) >= 0.001]
    return {
        "coded_over_floor": max(one["coded_over_floor"] for one in sized),
        "wire_over_coded_20kB": sending[0]["wire_over_coded"],
        "wire_over_coded_500B": sending[1]["wire_over_coded"],
        **{
            f"{way}_weights_per_second": statistics.median(one[f"{way}_weights_per_second"] for one in sized)
            for way in ("encode", "decode")
        },
    }


def _node_summary(nodes: list[Row]) -> Row:
    if not nodes:
        keys = (
            "ring_bytes_per_node_round_first3",
            "ring_bytes_per_node_round_settled",
            "mesh_bytes_per_node_round_settled",
        )
        return {**dict.fromkeys(keys), "skipped": missing() or "no Fashion-MNIST"}
    ring, mesh = nodes[:2]
    return {
        "ring_bytes_per_node_round_first3": ring["first3_bytes"],
        "ring_bytes_per_node_round_settled": ring["settled_bytes"],
        "mesh_bytes_per_node_round_settled": mesh["settled_bytes"],
        "settled_after_rounds": ring["rounds"],
    }


if __name__ == "__main__":
    sys.exit(main())
