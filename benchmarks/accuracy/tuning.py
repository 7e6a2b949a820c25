"""Choosing a baseline's options on validation images, with a seed of its own; every trial is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import replace
from typing import Any

from benchmarks.accuracy.methods import RECIPES, TUNED_FILE, tuned_for, tuned_table
from benchmarks.accuracy.run import Job, run
from benchmarks.processes import processes
from dslnode.simulation.methods.recipes import Options

TUNING_SEED = 1000

Measure = Callable[[Job], float]


def tune(job: Job, measure: Measure) -> tuple[Options, list[dict[str, Any]]]:
    """Go through the stages of the method's grid; return the best options and all trials."""
    best, trials = dict(job.options), list[dict[str, Any]]()
    for stage in RECIPES[job.method].stages:
        for change in stage:
            options = {**best, **change}
            if options not in [trial["options"] for trial in trials]:
                validation = measure(replace(job, options=options))
                trials.append({"options": options, "validation": round(validation, 2)})
                print(f"tuning {job.model}/{job.case} {job.method} {options}: {validation:.2f}", flush=True)
        best = max(trials, key=lambda trial: float(trial["validation"]))["options"]
    return best, trials


def tune_all(jobs: list[Job], count: int) -> None:
    """Tune every job that has a grid and is not tuned for as many steps yet; write each choice to tuned.json."""
    with processes(count) as pool:
        for found in as_completed([pool.submit(_tuned, job) for job in jobs if is_due(job)]):
            job, options, trials = found.result()
            table = tuned_table()
            entry = {"options": options, "steps": job.steps, "trials": trials}
            table.setdefault(tuned_for(job.model, job.case, job.data), {})[job.method] = entry
            TUNED_FILE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def is_due(job: Job) -> bool:
    """Tell whether a job has a grid, and no choice made by as many steps: a quick look does not replace a long one."""
    former = tuned_table().get(tuned_for(job.model, job.case, job.data), {}).get(job.method, {})
    return bool(RECIPES[job.method].stages) and former.get("steps", 0) < job.steps


def _tuned(job: Job) -> tuple[Job, Options, list[dict[str, Any]]]:
    return job, *tune(replace(job, seed=TUNING_SEED, options=RECIPES[job.method].options), _validation)


def _validation(job: Job) -> float:
    return float(run(replace(job, curve_points=1), test=False)["validation"])
