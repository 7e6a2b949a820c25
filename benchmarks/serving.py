"""Latency of predictions over HTTP while a node trains, with the niceness that training has then and without.

One client, which waits 50 ms after each answer: one row per request, as a sensor sends it, or 32. Training and server
share one processor, the client has another. Cases take turns, so that other load of the machine affects all alike;
figures are medians over the turns.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from benchmarks.daemons import FASHION_MNIST
from benchmarks.report import Column, Report, Row, arguments, publish
from dslnode.config.settings import Settings
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model, personal_model
from dslnode.runtime.build import build_learner
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.runtime.predictions import TRAINING_NICE
from dslnode.serving.service import PredictionService, ServingOptions

REQUESTS = 200
MANY = 32
PAUSE_SECONDS = 0.05
THREADS = "OPENBLAS_NUM_THREADS"
AT_REST, NICE, NOT_NICE = "no training", f"training, nice {TRAINING_NICE}", "training, nice 0"
COLUMNS = (
    Column("model", "model"),
    Column("rows", "rows"),
    Column("beside", "beside"),
    Column("requests", "requests", ","),
    Column("p50_ms", "p50, ms", ".1f"),
    Column("p99_ms", "p99, ms", ".1f"),
    Column("steps_per_second", "steps per second", ".0f"),
)
CLIENT = """
import http.client, json, sys, time
port, count, pause, body = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.stdin.buffer.read()
connection, taken = http.client.HTTPConnection("127.0.0.1", port), []
for _ in range(count):
    time.sleep(pause)
    began = time.perf_counter()
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    taken.append(time.perf_counter() - began)
    assert answer.status == 200
print(json.dumps(taken))
"""


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    if THREADS not in os.environ:  # numpy reads it when it is loaded; dslnode start and serve set it before
        command = [sys.executable, "-m", "benchmarks.serving", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, THREADS: "1"}, check=False).returncode
    turns = 1 if chosen.quick else 5
    rows = [row for case in _cases() for row in asyncio.run(_measure(case, turns))]
    publish("Predictions while a node trains", COLUMNS, Report(rows, _memory()), chosen.json)
    return 0


@dataclass(frozen=True)
class Case:
    """A model that is learned, and how many rows each request has."""

    name: str
    settings: Settings
    rows: int = 1


def _cases() -> list[Case]:
    cases = [Case("digits, mlp", Settings(data="digits", model="mlp"))]
    if FASHION_MNIST.is_dir():
        settings = Settings(data=f"idx:{FASHION_MNIST}", samples_per_class=500, model="cnn")
        cases += [Case("Fashion-MNIST, cnn", settings, rows) for rows in (1, MANY)]
    return cases


async def _measure(measured: Case, turns: int) -> list[Row]:
    import torch

    settings = measured.settings
    torch.set_num_threads(1)
    everywhere = os.sched_getaffinity(0)
    learner = build_learner(settings)
    service = PredictionService(
        ServingOptions(address="127.0.0.1:0"), CollectorRegistry(), failed=lambda error: print(error, file=sys.stderr)
    )
    service.replace(personal_model(learner, describe_model(learner, model=settings.model)))
    beside: dict[str, int | None] = {AT_REST: None, NICE: TRAINING_NICE, NOT_NICE: 0}
    taken: dict[str, list[list[float]]] = {case: [] for case in beside}
    steps: dict[str, list[float]] = {case: [] for case in beside}
    os.sched_setaffinity(0, {min(everywhere)})
    port = service.start()
    try:
        for _ in range(turns):
            for case, nice in beside.items():
                seconds, rate = await _turn(learner, measured, port, nice, everywhere)
                taken[case].append(seconds)
                steps[case].append(rate)
    finally:
        service.stop()
        os.sched_setaffinity(0, everywhere)
    about = {"model": measured.name, "rows": measured.rows}
    return [{**about, "beside": case, **_figures(taken[case], steps[case])} for case in beside]


async def _turn(
    learner: Learner, measured: Case, port: int, nice: int | None, processors: set[int]
) -> tuple[list[float], float]:
    """Return the seconds of each request, and how many steps were taken per second."""
    thread = None if nice is None else LearnerThread(learner, nice)
    began, rounds = time.monotonic(), 0
    asking = asyncio.create_task(_ask(port, learner, measured.rows, processors))
    while not asking.done():
        if thread is None:
            await asking
        else:
            await thread.train(rounds)
            rounds += 1
    if thread is not None:
        thread.close()
    return asking.result(), rounds * measured.settings.local_steps / (time.monotonic() - began)


async def _ask(port: int, learner: Learner, rows: int, processors: set[int]) -> list[float]:
    body = json.dumps(learner.data.train.stored[:rows].tolist()).encode()
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT, str(port), str(REQUESTS), str(PAUSE_SECONDS)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    os.sched_setaffinity(client.pid, {max(processors)})
    output, _ = await client.communicate(body)
    taken: list[float] = json.loads(output)
    return taken


def _figures(turns: list[list[float]], rates: list[float]) -> Row:
    """Return the medians of what the turns gave: one that other programs disturbed does not decide."""
    at = [statistics.quantiles(seconds, n=100) for seconds in turns]
    return {
        "requests": sum(map(len, turns)),
        "p50_ms": 1000 * statistics.median(each[49] for each in at),
        "p99_ms": 1000 * statistics.median(each[98] for each in at),
        "steps_per_second": statistics.median(rates),
    }


def _memory() -> Row:
    """Return what ``dslnode serve`` takes with a model of digits: memory, and seconds to its first answer."""
    import tempfile

    from dslnode.cli.daemon_process import clean_environment, command_line
    from dslnode.inference.model_file import pack

    learner = build_learner(Settings(data="digits", model="mlp"))
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "digits.dslm"
        file.write_bytes(pack(personal_model(learner, describe_model(learner, model="mlp"))))
        began = time.monotonic()
        command = command_line("serve", str(file), "--address", "127.0.0.1:0")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment()) as process:
            assert process.stdout is not None
            port = process.stdout.readline().rstrip("/\n").rpartition(":")[2]
            row = json.dumps(learner.data.train.stored[:1].tolist()).encode()
            ask = [sys.executable, "-c", CLIENT, port, "1", "0"]
            subprocess.run(ask, input=row, check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - began
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
            process.terminate()
    return {"serve_first_answer_seconds": seconds, "serve_peak_mib": peak / 1024}


if __name__ == "__main__":
    sys.exit(main())
