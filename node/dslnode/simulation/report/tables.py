"""The tables of a simulation: every node and round, every node, every edge; as CSV, the rounds as Parquet, too."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path

from dslnode.atomic_file import text_written_whole, written_whole
from dslnode.input_files import check_regular
from dslnode.simulation.boards import node_name
from dslnode.simulation.edge_file import write_edges
from dslnode.simulation.plan import SimulationPlan
from dslnode.simulation.records import RoundRecord

MAX_FILE_BYTES = 4 << 30
ROUND_FIELDS = [field.name for field in fields(RoundRecord)]


def write_tables(directory: Path, plan: SimulationPlan, records: Sequence[RoundRecord]) -> None:
    """Write ``rounds.csv``, ``nodes.csv`` and ``edges.txt``; ``rounds.parquet`` where pyarrow is installed."""
    write_rounds(directory / "rounds.csv", records)
    with text_written_whole(directory / "nodes.csv") as target:
        rows = csv.writer(target)
        rows.writerow(["node", "name", "share", "keep_ratio", "step_seconds", "hostile", "neighbours"])
        for number, (board, peers) in enumerate(zip(plan.boards, plan.neighbours, strict=True)):
            share = f"{board.part}/{plan.parts}"
            rows.writerow(
                [number, node_name(number), share, board.keep_ratio, board.step_seconds, board.hostile, len(peers)]
            )
    write_edges(directory / "edges.txt", plan.neighbours)
    parquet = directory / "rounds.parquet"
    if find_spec("pyarrow") is not None:
        _write_parquet(parquet, records)
    else:
        parquet.unlink(missing_ok=True)  # of a former run, whose rounds were others


def write_rounds(file: Path, records: Sequence[RoundRecord]) -> None:
    """Write a row for every node and round."""
    with text_written_whole(file) as target:
        writer = csv.DictWriter(target, ROUND_FIELDS)
        writer.writeheader()
        writer.writerows(asdict(record) for record in records)


def read_rounds(file: Path) -> list[RoundRecord]:
    """Return the records in a ``rounds.csv``. Raises ``OSError`` or ``ValueError`` if it cannot be read."""
    if check_regular(file) > MAX_FILE_BYTES:
        raise ValueError(f"{file} is larger than {MAX_FILE_BYTES >> 30} GiB")
    with file.open(newline="", encoding="utf-8") as source:
        return [_record(row) for row in csv.DictReader(source)]


def read_hostile(file: Path) -> frozenset[int]:
    """Return the hostile nodes in a ``nodes.csv``. Raises ``OSError`` or ``ValueError`` if it cannot be read."""
    check_regular(file)
    with file.open(newline="", encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    try:
        return frozenset(int(row["node"]) for row in rows if row["hostile"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file.name} has a row that is not that of a node ({error})") from error


def _record(row: dict[str, str]) -> RoundRecord:
    try:
        return RoundRecord(
            node=int(row["node"]),
            round=int(row["round"]),
            seconds=float(row["seconds"]),
            round_seconds=float(row["round_seconds"]),
            score=float(row["score"]) if row["score"] else None,
            loss=float(row["loss"]),
            neighbours=int(row["neighbours"]),
            staleness=float(row["staleness"]),
            density=float(row["density"]),
            payload_bits=int(row["payload_bits"]),
            wire_bytes=int(row["wire_bytes"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"a row is not that of a round ({error})") from error


def _write_parquet(file: Path, records: Sequence[RoundRecord]) -> None:
    from pyarrow import parquet, table

    columns = {name: [getattr(record, name) for record in records] for name in ROUND_FIELDS}
    with written_whole(file) as target:
        parquet.write_table(table(columns), target)
