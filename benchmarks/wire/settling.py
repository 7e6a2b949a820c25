"""How many sign masks four nodes still send as they settle, and how accurate they are: in one process, to the digit.

The daemon's own learner and round machine, in a ring and a full mesh: with default settings on scikit-learn's digits
(six classes per node, six images per class), or with ``--cnn`` the CNN of the wire's benchmark on Fashion-MNIST with
the options of that benchmark's quick run. Each mask has about one bit per score. In place of a mask below the send
threshold goes an ``Unchanged`` of about 90 bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.accuracy.masks import Lockstep
from benchmarks.daemons import FASHION_MNIST
from benchmarks.report import Column, Report, Row, arguments, publish
from benchmarks.wire.coding import MODEL
from benchmarks.wire.nodes import GRAPHS
from dslnode.config.settings import Settings
from dslnode.learning.learner import Learner
from dslnode.runtime.build import build_learner

MARKS = (13, 30, 60, 100, 150, 200, 250, 300)
UNCHANGED_BYTES = 90
"""Bytes of an ``Unchanged`` with all headers."""
DIGITS: Mapping[str, Any] = {"data": "digits", "model": "mlp", "split": "classes:6", "samples_per_class": 6}
CNN: Mapping[str, Any] = {
    "data": f"idx:{FASHION_MNIST}",
    "model": MODEL,
    "split": "classes:4",
    "samples_per_class": 10,
    "local_steps": 3,
    "batch_size": 8,
    "lr_decay_after_steps": 40,
}
COLUMNS = (
    Column("what", "what"),
    Column("seed", "seed"),
    Column("rounds", "rounds"),
    Column("accuracy", "accuracy, %", ".1f"),
    Column("sent", "sign masks a node and round since the row before", ".3f"),
    Column("sent_bytes", "that in bytes, less headers", ",.0f"),
)


def main() -> int:
    """Run the benchmark."""
    torch.set_num_threads(1)
    chosen = arguments(__doc__ or "", ("--cnn", "the CNN on Fashion-MNIST in place of digits, one seed"))
    task = CNN if chosen.cnn else DIGITS
    marks = MARKS[:4] if chosen.quick else MARKS
    seeds = (1,) if chosen.quick or task is CNN else (1, 2, 3)
    rows = [row for graph in GRAPHS for seed in seeds for row in settling_rows(graph, marks, {**task, "seed": seed})]
    publish("Settling", COLUMNS, Report(rows, {}), chosen.json)
    return 0


def settling_rows(graph: str, marks: tuple[int, ...], options: Mapping[str, Any]) -> list[Row]:
    """Run four nodes; return a row for each of these numbers of rounds."""
    learners = [build_learner(Settings(name=f"node-{n + 1}", share=f"{n + 1}/4", **options)) for n in range(4)]
    first = Settings(name="node-1", **options)
    lockstep, rows, done = Lockstep(learners, GRAPHS[graph], first.exchange), list[Row](), 0
    score_bytes = learners[0].network.score_layout.byte_size
    for mark in marks:
        sent = 0
        for number in range(done, mark):
            lockstep.round(number)
            sent += len(lockstep.take_signs())
        unchanged = len(GRAPHS[graph][0]) - sent / 4 / (mark - done)
        rate, done = sent / 4 / (mark - done), mark
        rows.append(
            {
                "what": f"{graph}, {'digits' if options['data'] == 'digits' else 'Fashion-MNIST (CNN)'}",
                "seed": first.seed,
                "rounds": mark,
                "accuracy": _accuracy(learners),
                "sent": rate,
                "sent_bytes": rate * score_bytes + unchanged * UNCHANGED_BYTES,
            }
        )
    return rows


def _accuracy(learners: list[Learner]) -> float:
    accuracies = [learner.score() or 0.0 for learner in learners]
    return 100 * sum(accuracies) / len(accuracies)


if __name__ == "__main__":
    sys.exit(main())
