"""Does it pay to collaborate, and what does it cost? Many virtual nodes in this process learn by several methods.

All methods get the same data, the same local steps and the same choice between the node's own classes and all.
Accuracy is that of each node's personal model on the test images of its own classes. Finished runs are kept in
--results and not run again.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import track

from benchmarks.accuracy.cases import CASES, MODELS, QUICK_CASES, case_over, missing_data
from benchmarks.accuracy.methods import RECIPES, chosen_options
from benchmarks.accuracy.plots import draw_all
from benchmarks.accuracy.results import ResultsFile, table
from benchmarks.accuracy.run import Job, Record, run
from benchmarks.accuracy.stored import take_rows
from benchmarks.accuracy.tuning import tune_all
from benchmarks.processes import processes
from benchmarks.report import Column, Report, commit, publish, today
from dslnode.simulation.methods.method import LOCAL_STEPS

QUICK_STEPS, FULL_STEPS = 60, 390
DEFAULT_METHODS = [name for name in RECIPES if name != "ours_graded"]  # which is as good as ours, in larger files
QUICK_TESTS = 100  # test images a class
QUICK_POINTS = 5  # of the curve
COLUMNS = (
    Column("case", "case"),
    Column("model", "model"),
    Column("method", "method"),
    Column("form", "form"),
    Column("seed_count", "seeds"),
    Column("accuracy", "accuracy", ".1f"),
    Column("worst_node", "worst node", ".1f"),
    Column("payload_bits", "payload bits", ".3g"),
    Column("raw_bits", "raw bits", ".3g"),
    Column("nominal_bits", "nominal bits", ".3g"),
    Column("payload_bits_a_weight", "bits a weight, link and round", ".4f"),
    Column("bits_to_match_ours", "bits to match ours, times ours", ".0f"),
    Column("local_steps", "local steps", ".0f"),
    Column("measured", "measured"),
    Column("seconds", "seconds", ".0f"),
)


def main() -> None:
    """Run the benchmark."""
    options = _arguments()
    jobs = list(jobs_of(options))
    if not jobs:
        sys.exit("no case has its data on this machine: nothing was measured")
    if options.tune:
        tune_all([job for job in jobs if job.seed == options.seeds[0]], options.processes)
        return
    records = run_all(jobs, ResultsFile(options.results), options.processes)
    rows = table(records)
    publish("personal accuracy on the test images of each node's own classes, percent", COLUMNS,
            Report(rows), options.json)  # fmt: skip
    if options.into is not None:
        take_rows(options.into, rows)
    if options.plots is not None:
        draw_all(records, options.plots)


def jobs_of(options: argparse.Namespace) -> Iterator[Job]:
    """Yield the runs asked for, seed by seed, so that an interrupted benchmark has complete tables of few seeds."""
    there = [name for name in options.cases if _has_data(name, options.data)]
    for seed, name, method in product(options.seeds, there, options.methods):
        tuned = chosen_options(method, name, options.model, options.data)
        if options.baseline_round and not RECIPES[method].masked:
            tuned |= {"local_steps": options.baseline_round}
        job = Job(name, method, options.model, seed, options.steps, tuned, data=options.data)
        yield replace(job, curve_points=QUICK_POINTS, test_per_class=QUICK_TESTS) if options.quick else job


def _has_data(name: str, data: str | None) -> bool:
    complaint = missing_data(case_over(name, data))
    if complaint:
        print(complaint, file=sys.stderr)
    return complaint is None


def run_all(jobs: list[Job], results: ResultsFile, count: int) -> list[Record]:
    """Run what has no result yet, with a line and a bar that grows with every run; return all records in order.

    Each record says when it was measured, and with which commit: a resumed run may be older than its table.
    """
    measured_with = commit()
    missing = [job for job in jobs if results.find(job) is None]
    print(f"{len(jobs) - len(missing)} of {len(jobs)} runs are done already", flush=True)
    finished = _finished(missing, count)
    for record in track(finished, "runs", len(missing), console=Console(stderr=True), transient=True):
        results.add(record | {"measured_on": today(), "commit": measured_with})
        mean = sum(record["nodes"]) / len(record["nodes"])
        print(f"{record['case']} {record['model']} {record['method']} seed {record['seed']}:"
              f" {mean:.1f} %, {record['payload_bits']:.3g} bits, {record['seconds']:.0f} s", flush=True)  # fmt: skip
    found = [results.find(job) for job in jobs]
    return [record for record in found if record is not None]


def _finished(jobs: list[Job], count: int) -> Iterator[Record]:
    """Yield records as they are finished."""
    if count == 1:
        yield from map(run, jobs)
        return
    with processes(count) as pool:
        for future in as_completed([pool.submit(run, job) for job in jobs]):
            yield future.result()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.accuracy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two cases, one seed, the smaller CNN, few steps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows and machine facts as JSON")
    parser.add_argument("--into", type=Path, metavar="FILE",
                        help="put the rows in the place of those of the same methods in a stored table")  # fmt: skip
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw the curves as SVG into this directory")
    parser.add_argument("--results", type=Path, metavar="FILE", default=Path("build/accuracy.jsonl"),
                        help="finished runs, one JSON line each (default: %(default)s)")  # fmt: skip
    parser.add_argument("--tune", action="store_true", help="choose the baselines' options on validation instead")
    parser.add_argument("--model", choices=list(MODELS), default="cnn", help="default: %(default)s")
    parser.add_argument("--cases", type=_some_of(CASES), metavar="A,B", help="default: all")
    parser.add_argument("--data", metavar="SPEC", help="other data, as cifar10:DIR (default: Fashion-MNIST)")
    parser.add_argument("--methods", type=_some_of(RECIPES), metavar="A,B", default=DEFAULT_METHODS,
                        help="default: all but ours_graded")  # fmt: skip
    parser.add_argument("--seeds", type=_numbers, metavar="1,2,3", help="default: 1,2,3, with --quick 1")
    parser.add_argument("--steps", type=int, help=f"local steps in all (default: {FULL_STEPS}, quick {QUICK_STEPS})")
    parser.add_argument("--baseline-round", type=int, metavar="STEPS",
                        help=f"local steps between the baselines' exchanges (default: {LOCAL_STEPS})")  # fmt: skip
    parser.add_argument("--processes", type=int, default=2, help="runs at a time (default: %(default)s)")
    options = parser.parse_args()
    if options.tune and options.baseline_round:
        parser.error(f"--tune chooses for exchanges every {LOCAL_STEPS} steps, not for --baseline-round")
    options.cases = options.cases or list(QUICK_CASES if options.quick else CASES)
    options.seeds = options.seeds or ([1] if options.quick else [1, 2, 3])
    options.steps = options.steps or (QUICK_STEPS if options.quick else FULL_STEPS)
    return options


def _some_of(known: object) -> Callable[[str], list[str]]:
    assert isinstance(known, dict)
    names = list(known)

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(names)}")
        return chosen

    return parse


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _leave(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    main()
