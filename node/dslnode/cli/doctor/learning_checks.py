"""Whether data, model and processor are fit for a node, and what a round will cost: facts in, findings out."""

from __future__ import annotations

from dataclasses import dataclass

from dslnode.cli.doctor.findings import Finding, ok, problem, shortened, warning

FEW_EXAMPLES = 5
UNLIKE = 10  # times as many examples of one class as of another
BYTES_A_WEIGHT = 72
"""Peak memory of learner and local step for each weight, as measured with large linear layers."""
ROOM = 1.2  # memory is never all free for one process


@dataclass(frozen=True)
class Torch:
    """The torch at hand, and the processor."""

    version: str
    cuda_build: str | None
    cuda_usable: bool
    threads: int
    cores: int


@dataclass(frozen=True)
class Data:
    """How many examples of which class the node has, and how many are held out."""

    name: str
    counts: dict[int, int]
    held_out: int
    class_count: int


@dataclass(frozen=True)
class Memory:
    """Bytes that this process has, that the system can still give, and that the model will want."""

    used: int
    available: int | None
    weights: int

    @property
    def wanted(self) -> int:
        """What learner and steps will take beside what the process has now."""
        return BYTES_A_WEIGHT * self.weights

    @property
    def is_short(self) -> bool:
        """Whether trying it could drive the machine out of memory."""
        return self.available is not None and self.wanted > self.available


@dataclass(frozen=True)
class Trial:
    """What a few real steps took, in seconds, and what the learner is."""

    step_seconds: float
    signs_seconds: float
    aggregate_seconds: float
    evaluate_seconds: float
    peak: int  # bytes of this process
    weights: int
    fingerprint: str  # of the frozen network, as hex
    bits: dict[str, int]  # payload of a round to one neighbour, raw, by kind of mask
    state_bytes: int


@dataclass(frozen=True)
class Schedule:
    """The settings that a round's cost follows from."""

    local_steps: int
    evaluate_every: int
    peers: int
    round_deadline: float


def check_torch(torch: Torch) -> list[Finding]:
    """The build, and whether there are as many cores as threads."""
    found = [ok("torch", f"{torch.version}, {torch.threads} of {torch.cores} processor cores")]
    if torch.cuda_build and not torch.cuda_usable:
        what = f"{torch.version} is a CUDA build ({torch.cuda_build}) on a machine without a usable GPU"
        found = [warning("torch", what, "install torch's CPU build: a tenth of the size, and quicker to start")]
    if torch.threads > torch.cores:
        what = f"{torch.threads} threads on {torch.cores} cores wait for each other"
        found.append(warning("torch", what, f"set --threads to {torch.cores} or less"))
    return found


def check_data(data: Data) -> list[Finding]:
    """Whether there is enough of each class to learn from and to measure with."""
    counts = data.counts
    listed = ", ".join(f"{label}: {count}" for label, count in sorted(counts.items())[:20])
    found = [
        ok("data", f"{data.name}: {sum(counts.values()):,} examples by class ({listed}), {data.held_out:,} held out")
    ]
    if len(counts) == 1:
        found.append(warning("data", "only one class: every answer is right", "give the node more of the data"))
    if data.held_out == 0:
        what = "no example is held out, so no accuracy will be measured"
        found.append(warning("data", what, "provide held-out data of the node's own classes"))
    few = sorted(label for label, count in counts.items() if count < FEW_EXAMPLES)
    if few:
        what = f"fewer than {FEW_EXAMPLES} examples of class {', '.join(map(str, few[:20]))}"
        found.append(warning("data", what, "give more of them, or leave the class out with --classes"))
    elif max(counts.values()) > UNLIKE * min(counts.values()):
        what = f"some classes have more than {UNLIKE} times as many examples as others"
        found.append(warning("data", what, "even it out with --samples-per-class"))
    return found


def check_memory(memory: Memory, trial: Trial | None) -> Finding:
    """Before the model is tried by estimate, afterwards by what it took."""
    if memory.is_short:
        what = (
            f"the model wants about {shortened(memory.wanted)} more, {shortened(memory.available or 0)} are available"
        )
        return problem("memory", what, "use a smaller --model, or a larger machine")
    if trial is None:
        return ok("memory", f"about {shortened(memory.wanted)} for a model of {memory.weights:,} weights")
    left = None if memory.available is None else memory.available - (trial.peak - memory.used)
    what = f"{shortened(trial.peak)} at the peak of a round"
    if left is not None and left < (ROOM - 1) * trial.peak:
        return warning("memory", f"{what}, {shortened(max(0, left))} left", "use a smaller --model or --batch-size")
    return ok("memory", what if left is None else f"{what}, {shortened(left)} left")


def learning_seconds(trial: Trial, schedule: Schedule) -> float:
    """Return the seconds that a round takes without waiting for neighbours."""
    steps = trial.step_seconds * schedule.local_steps
    return steps + trial.signs_seconds + trial.aggregate_seconds + trial.evaluate_seconds / schedule.evaluate_every


def check_round(trial: Trial, schedule: Schedule) -> list[Finding]:
    """What a round will take, in seconds and bits."""
    seconds, bits, peers = learning_seconds(trial, schedule), sum(trial.bits.values()), max(1, schedule.peers)
    what = (
        f"about {seconds:.2f} s ({schedule.local_steps} steps of {1000 * trial.step_seconds:.1f} ms), "
        "and the wait for neighbours"
    )
    found = [ok("round", what)]
    if seconds > schedule.round_deadline:
        what = f"a round learns for {seconds:.1f} s, and waits {schedule.round_deadline:g} s for slower neighbours"
        fix = (
            f"set --round-deadline to {2 * seconds:.0f} or more if neighbours are no faster, or use fewer --local-steps"
        )
        found.append(warning("round", what, fix))
    kinds = ", ".join(f"{kind} masks {shortened(amount, 'bit')}" for kind, amount in trial.bits.items())
    ratio = 32 * trial.weights / bits
    rate = bits * peers / seconds if seconds else 0.0
    told = (
        f"{kinds} a round and neighbour at most, float32 {ratio:,.0f} times that; "
        f"with {peers} neighbour{'s' if peers > 1 else ''} up to {shortened(rate, 'bit')}/s"
    )
    return [*found, ok("bits", told)]
