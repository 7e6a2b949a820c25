"""Loads the data, builds the model and does a few real steps, to tell ``dslnode doctor`` what they take."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from dslnode.cli.doctor.findings import Finding, from_error
from dslnode.cli.doctor.host_facts import available_memory
from dslnode.cli.doctor.learning_checks import (
    Data,
    Memory,
    Schedule,
    Torch,
    Trial,
    check_data,
    check_memory,
    check_round,
    check_torch,
)
from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet
from dslnode.errors import DslnodeError
from dslnode.learning.learner import Learner
from dslnode.learning.masking import layout_of
from dslnode.plugins import model_factory
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.messages import MaskKind
from dslnode.runtime.build import initialization_options, node_data, training_options

TRIAL_STEPS = 3


def look_at_torch(threads: int) -> Torch:
    """Return what torch is there, and how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Torch(torch.__version__, torch.version.cuda, torch.cuda.is_available(), threads, cores)


def look_at_data(data: DataSet) -> Data:
    """Count the examples by class."""
    counts = Counter(data.train.labels.tolist())
    return Data(data.name, dict(counts), 0 if data.held_out is None else len(data.held_out), data.class_count)


def learning_findings(settings: Settings) -> Iterator[Finding | Trial]:
    """Yield findings as they come, and the trial, once it was possible: an error ends it as a problem."""
    yield from check_torch(look_at_torch(settings.threads))
    check = "data"
    try:
        data = node_data(settings)
        yield from check_data(look_at_data(data))
        check = "model"
        yield from _try_model(settings, data)
    except DslnodeError as error:
        yield from_error(check, str(error))


def _try_model(settings: Settings, data: DataSet) -> Iterator[Finding | Trial]:
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = model_factory(settings.model)(data.input_shape, data.class_count)
    memory = Memory(_peak(), available_memory(), layout_of(model).size)
    if memory.is_short:
        yield check_memory(memory, None)
        return
    learner = Learner(
        model, data, replace(training_options(settings), local_steps=TRIAL_STEPS), initialization_options(settings)
    )
    trial = try_rounds(learner, settings)
    yield trial
    yield check_memory(memory, trial)
    yield from check_round(trial, schedule(settings))


def schedule(settings: Settings) -> Schedule:
    """Return what a round's cost follows from."""
    return Schedule(settings.local_steps, settings.evaluate_every, len(settings.peers), settings.round_deadline)


def try_rounds(learner: Learner, settings: Settings) -> Trial:
    """Do two short rounds as with a neighbour that says the same; the second one is timed. Nothing is kept."""
    kinds = settings.exchange.kinds
    learner.resynchronize("doctor", learner.open_exchange("doctor"))  # or there is nobody to make sign masks for
    for number in range(2):
        steps = _timed(lambda: learner.train_round(number, lambda: False))  # noqa: B023 (called at once)
        signs = _timed(lambda: learner.make_steps(number, ["doctor"])) if MaskKind.SIGN in kinds else 0.0  # noqa: B023
        heard = [NeighbourMasks("doctor", learner.mask, (), 0)]
        aggregate = _timed(lambda: learner.aggregate(heard))  # noqa: B023
    evaluate = _timed(lambda: learner.accuracy(lambda: False))
    return Trial(
        step_seconds=steps / TRIAL_STEPS,
        signs_seconds=signs,
        aggregate_seconds=aggregate,
        evaluate_seconds=evaluate,
        peak=_peak(),
        weights=learner.layout.size,
        fingerprint=learner.fingerprint.hex(),
        bits={kind.name.lower(): learner.layouts[kind].size for kind in sorted(kinds)},
        state_bytes=sum(array.nbytes for array in learner.state().values()),
    )


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
