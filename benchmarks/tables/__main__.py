"""Public tables as a user has them: four nodes alone and together, against scikit-learn on one node's examples.

All columns are scores on examples that no node trained on or chose its model by, the mean over the nodes and seeds;
higher is better. ``ours_alone``, ``linear`` and ``mlp`` have a quarter of the training examples each, as every node
of ``ours_together`` has.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch

import dslnode
from benchmarks.report import Column, Report, Row, argument_parser, publish
from benchmarks.tables import learning, reference
from benchmarks.tables.catalogue import CASES, Case
from dslnode.learning.learner import Learner

ROUNDS, QUICK_ROUNDS = 120, 30
SEEDS = (1, 2, 3)
WITHIN, WITHIN_OF_ERROR = 0.02, 0.05
"""How far below scikit-learn's MLP alone a node alone may be: two points, or that part of what the MLP lacks of 1."""
COLUMNS = (
    Column("dataset", "data set"),
    Column("task", "task"),
    Column("metric", "score"),
    *(Column(key, key.replace("_", " "), ".3f") for key in ("ours_alone", "ours_together", "linear", "mlp", "trivial")),
    Column("seconds", "s", ".0f"),
)


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--only", metavar="NAME", help="only data sets whose name has this in it")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # scikit-learn's, about steps that did not converge
    rounds, seeds = (QUICK_ROUNDS, SEEDS[:1]) if chosen.quick else (ROUNDS, SEEDS)
    with tempfile.TemporaryDirectory() as directory:
        cases = [case for case in CASES if (chosen.only or "") in case.dataset]
        rows = [measure(case, Path(directory), rounds, seeds) for case in cases]
    publish("Public tables", COLUMNS, Report(rows, summary(rows)), chosen.json)


def measure(case: Case, directory: Path, rounds: int, seeds: tuple[int, ...]) -> Row:
    """Return the row of one data set."""
    began = time.monotonic()
    data = dslnode.load_data_set(case.spec(directory))
    found = [score for seed in seeds for score in scores(data, rounds, seed)]
    keys = ("ours_alone", "ours_together", "linear", "mlp", "trivial")
    means = {key: statistics.mean(score[key] for score in found) for key in keys}
    names = {score["metric"] for score in found}
    return {
        "dataset": case.dataset,
        "task": data.target.task,
        "metric": " or ".join(sorted(names)),
        **means,
        "seconds": time.monotonic() - began,
    }


def scores(data: dslnode.DataSet, rounds: int, seed: int) -> list[Row]:
    """Return the scores of each node, and of the models that it is compared with."""
    parts, test = learning.parts_of(data, seed)
    alone, together = learning.learn_alone(parts, rounds, seed), learning.learn_together(parts, rounds, seed)
    return [
        {
            "metric": node.task.score_name,
            "ours_alone": learning.test_score(node, test),
            "ours_together": learning.test_score(other, test),
            "trivial": _trivial(node, test),
            **reference.scores(node.data, node.task, test),
        }
        for node, other in zip(alone, together, strict=True)
    ]


def summary(rows: list[Row]) -> Row:
    """Return the goals: never worse than trivial, near scikit-learn's MLP, better together in the mean."""
    gains = [row["ours_together"] - row["ours_alone"] for row in rows]
    return {
        "worse_than_trivial": [row["dataset"] for row in rows if row["ours_together"] < row["trivial"]],
        "further_from_mlp": [row["dataset"] for row in rows if row["ours_alone"] < row["mlp"] - _allowed(row["mlp"])],
        "mean_gain_together": statistics.mean(gains) if gains else 0.0,
    }


def _allowed(score: float) -> float:
    return max(WITHIN, WITHIN_OF_ERROR * (1 - score))


def _trivial(node: Learner, test: dslnode.Examples) -> float:
    return max(each.score for each in node.task.baselines(node.data.train, test) if each.trivial)


if __name__ == "__main__":
    main()
