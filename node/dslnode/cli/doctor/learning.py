"""Data, model and processor: loaded, tried in a few real rounds, and checked. The only module here that needs torch."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from dslnode.cli.doctor.findings import Finding, from_error, ok, problem, warning
from dslnode.cli.doctor.host import available_memory, peak_memory
from dslnode.cli.formatting import si_amount
from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet
from dslnode.data.target import Target, Task
from dslnode.errors import DslnodeError
from dslnode.learning.learner import Learner
from dslnode.learning.masking import layout_of
from dslnode.learning.model_building import build_model
from dslnode.learning.results import Baseline
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.messages import MaskKind
from dslnode.runtime.build import initialization_options, node_data, pretrained_network, training_options
from dslnode.telemetry.score_status import score_text

TRIAL_STEPS = 3
TRIAL_PEER = "doctor"
MIN_CLASS_EXAMPLES = 5
MAX_CLASS_IMBALANCE = 10
"""Times as many examples of one class as of another, from which on it is a warning."""
PEAK_BYTES_PER_WEIGHT = 72
"""Peak memory of learner and local step per weight, as measured with large linear layers."""
MIN_FREE_MEMORY = 0.2
"""Part of the peak that must stay free: memory is never all free for one process."""
MAX_LISTED = 20


@dataclass(frozen=True)
class TorchFacts:
    """The installed torch, and the processor cores that this process may use."""

    version: str
    cuda_build: str | None
    cuda_usable: bool
    threads: int
    cores: int


@dataclass(frozen=True)
class DataFacts:
    """Training examples of this node by class, and the number of held-out ones."""

    name: str
    counts: dict[int, int]
    held_out: int
    class_count: int
    task: str = Task.CLASSIFICATION
    names: tuple[str, ...] = ()  # of the classes, where they are known

    def class_name(self, label: int) -> str:
        """Return what a class is called."""
        return Target(names=self.names).class_name(label)


@dataclass(frozen=True)
class MemoryFacts:
    """Bytes that this process uses, bytes that are still available, and the model's number of weights."""

    used_bytes: int
    available_bytes: int
    weights: int

    @property
    def needed_bytes(self) -> int:
        """Estimate of what learner and steps take beside what the process has now."""
        return PEAK_BYTES_PER_WEIGHT * self.weights

    @property
    def is_short(self) -> bool:
        """Whether trying the model could exhaust the machine's memory."""
        return self.needed_bytes > self.available_bytes


@dataclass(frozen=True)
class Trial:
    """Measurements of a few real rounds, in seconds, and facts about the learner."""

    step_seconds: float
    signs_seconds: float
    aggregate_seconds: float
    evaluate_seconds: float
    peak_bytes: int  # of this process
    weights: int
    fingerprint: str  # of the frozen network, as hex
    bits: dict[str, int]  # raw payload of a round to one neighbour, by kind of mask
    state_bytes: int


@dataclass(frozen=True)
class RoundSettings:
    """The settings that a round's cost follows from."""

    local_steps: int
    evaluate_every: int
    peers: int
    round_deadline: float  # seconds

    @classmethod
    def of(cls, settings: Settings) -> RoundSettings:
        """Take them from a node's settings."""
        return cls(settings.local_steps, settings.evaluate_every, len(settings.peers), settings.round_deadline)


def examine_learning(settings: Settings) -> Iterator[Finding | Trial]:
    """Yield findings as they are made, and the trial's measurements; an error ends it as a problem."""
    yield from check_torch(probe_torch(settings.threads))
    check = "data"
    try:
        data = node_data(settings)
        yield from (ok("data", note) for note in data.notes)
        yield from check_data(probe_data(data))
        check = "model"
        yield from _examine_model(settings, data)
    except DslnodeError as error:
        yield from_error(check, str(error))


def _examine_model(settings: Settings, data: DataSet) -> Iterator[Finding | Trial]:
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = build_model(settings.model, data, settings.seed)
    memory = MemoryFacts(peak_memory(), available_memory(), layout_of(model).size)
    if memory.is_short:
        yield check_memory(memory, None)
        return
    options = replace(training_options(settings), local_steps=TRIAL_STEPS)
    pretrained = pretrained_network(settings)
    learner = Learner(model, data, options, initialization_options(settings), pretrained=pretrained)
    trial = try_rounds(learner, settings)
    yield trial
    yield from check_baselines(learner.task.score_name, learner.baselines)
    yield check_memory(memory, trial)
    yield from check_round(trial, RoundSettings.of(settings))


def probe_torch(threads: int) -> TorchFacts:
    """Return the installed torch, and how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return TorchFacts(torch.__version__, torch.version.cuda, torch.cuda.is_available(), threads, cores)


def check_torch(facts: TorchFacts) -> list[Finding]:
    """Check the build, and that there are as many cores as threads."""
    findings = [ok("torch", f"{facts.version}, {facts.threads} of {facts.cores} processor cores")]
    if facts.cuda_build and not facts.cuda_usable:
        what = f"{facts.version} is a CUDA build ({facts.cuda_build}) on a machine without a usable GPU"
        findings = [warning("torch", what, "install torch's CPU build: a tenth of the size, and quicker to start")]
    if facts.threads > facts.cores:
        what = f"{facts.threads} threads on {facts.cores} cores wait for each other"
        findings.append(warning("torch", what, f"set --threads to {facts.cores} or less"))
    return findings


def probe_data(data: DataSet) -> DataFacts:
    """Count the examples by class."""
    counts = Counter(data.train.labels.tolist())
    held_out = 0 if data.held_out is None else len(data.held_out)
    target = data.target
    return DataFacts(data.name, dict(counts), held_out, data.class_count, target.task, target.names)


def check_data(data: DataFacts) -> list[Finding]:
    """Check that there is enough of each class to learn from and to measure with."""
    counts = data.counts
    by_class = ", ".join(f"{data.class_name(label)}: {count}" for label, count in sorted(counts.items())[:MAX_LISTED])
    total = sum(counts.values())
    classes = data.task == Task.CLASSIFICATION
    of = f"by class ({by_class})" if classes else f"for {data.task}"
    findings = [ok("data", f"{data.name}: {total:,} examples {of}, {data.held_out:,} held out")]
    if classes and len(counts) == 1:
        findings.append(warning("data", "only one class: every answer is right", "give the node more of the data"))
    if data.held_out == 0:
        what = "no example is held out, so no score will be measured"
        findings.append(warning("data", what, "provide held-out data of the node's own classes"))
    if not classes:
        return findings
    rare = sorted(label for label, count in counts.items() if count < MIN_CLASS_EXAMPLES)
    if rare:
        what = f"fewer than {MIN_CLASS_EXAMPLES} examples of class {', '.join(map(data.class_name, rare[:MAX_LISTED]))}"
        findings.append(warning("data", what, "give more of them, or leave the class out with --classes"))
    elif max(counts.values()) > MAX_CLASS_IMBALANCE * min(counts.values()):
        what = f"some classes have more than {MAX_CLASS_IMBALANCE} times as many examples as others"
        findings.append(warning("data", what, "even it out with --samples-per-class"))
    return findings


def check_baselines(name: str, baselines: tuple[Baseline, ...]) -> list[Finding]:
    """Tell what simple predictors reach: a model that does not beat the trivial ones has learned nothing."""
    if not baselines:
        return []
    listed = ", ".join(f"{each.name} {score_text(name, each.score)}" for each in baselines)
    trivial = [each.score for each in baselines if each.trivial]
    others = [each.score for each in baselines if not each.trivial]
    if trivial and others and max(others) <= max(trivial):
        what = f"by {name} on held-out data a linear model is no better than a trivial predictor ({listed})"
        return [warning("score", what, "look whether the inputs say anything about the target, or give more examples")]
    return [ok("score", f"{name} on held-out data; to beat: {listed}")]


def check_memory(memory: MemoryFacts, trial: Trial | None) -> Finding:
    """Check the memory: before the trial by an estimate, after it by the measured peak."""
    if memory.is_short:
        what = (
            f"the model needs about {si_amount(memory.needed_bytes)} more, "
            f"{si_amount(memory.available_bytes)} are available"
        )
        return problem("memory", what, "use a smaller --model, or a larger machine")
    if trial is None:
        return ok("memory", f"about {si_amount(memory.needed_bytes)} for a model of {memory.weights:,} weights")
    left = max(0, memory.available_bytes - (trial.peak_bytes - memory.used_bytes))
    what = f"{si_amount(trial.peak_bytes)} at the peak of a round, {si_amount(left)} left"
    if left < MIN_FREE_MEMORY * trial.peak_bytes:
        return warning("memory", what, "use a smaller --model or --batch-size")
    return ok("memory", what)


def try_rounds(learner: Learner, settings: Settings) -> Trial:
    """Do two short rounds with a neighbour that holds the same mask, and time the second. Nothing is saved."""
    kinds = settings.exchange.kinds
    learner.resynchronize(TRIAL_PEER, learner.open_exchange(TRIAL_PEER))  # sign masks need a neighbour
    for number in range(2):
        steps = _seconds(lambda: learner.train_round(number))  # noqa: B023 (called at once)
        signs = _seconds(lambda: learner.make_steps(number, [TRIAL_PEER])) if MaskKind.SIGN in kinds else 0.0  # noqa: B023
        received = [NeighbourMasks(TRIAL_PEER, learner.mask, (), 0)]
        aggregate = _seconds(lambda: learner.aggregate(received))  # noqa: B023
    evaluate = _seconds(learner.score)
    return Trial(
        step_seconds=steps / TRIAL_STEPS,
        signs_seconds=signs,
        aggregate_seconds=aggregate,
        evaluate_seconds=evaluate,
        peak_bytes=peak_memory(),
        weights=learner.layout.size,
        fingerprint=learner.fingerprint.hex(),
        bits={kind.name.lower(): learner.layouts[kind].size for kind in sorted(kinds)},
        state_bytes=sum(array.nbytes for array in learner.state().values()),
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def learning_seconds(trial: Trial, settings: RoundSettings) -> float:
    """Return the seconds of a round without waiting for neighbours."""
    steps = trial.step_seconds * settings.local_steps
    return steps + trial.signs_seconds + trial.aggregate_seconds + trial.evaluate_seconds / settings.evaluate_every


def check_round(trial: Trial, settings: RoundSettings) -> list[Finding]:
    """Tell what a round will take in seconds and bits, and warn if it is longer than neighbours wait."""
    seconds, bits, peers = learning_seconds(trial, settings), sum(trial.bits.values()), max(1, settings.peers)
    what = (
        f"about {seconds:.2f} s ({settings.local_steps} steps of {1000 * trial.step_seconds:.1f} ms), "
        "and the wait for neighbours"
    )
    findings = [ok("round", what)]
    if seconds > settings.round_deadline:
        what = f"a round learns for {seconds:.1f} s, and waits {settings.round_deadline:g} s for slower neighbours"
        fix = (
            f"set --round-deadline to {2 * seconds:.0f} or more if neighbours are no faster, or use fewer --local-steps"
        )
        findings.append(warning("round", what, fix))
    kinds = ", ".join(f"{kind} masks {si_amount(amount, 'bit')}" for kind, amount in trial.bits.items())
    ratio = 32 * trial.weights / bits
    rate = bits * peers / seconds if seconds else 0.0
    traffic = (
        f"{kinds} per round and neighbour at most, float32 {ratio:,.0f} times that; "
        f"with {peers} neighbour{'s' if peers > 1 else ''} up to {si_amount(rate, 'bit')}/s"
    )
    return [*findings, ok("bits", traffic)]
