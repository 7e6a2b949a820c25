"""Starts the nodes of a testbed, watches them, starts dead ones again if asked to, and leaves none behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NoReturn

from dslnode.cli.endings import ENDINGS
from dslnode.cli.formatting import si_amount
from dslnode.cli.testbed_fork import AWAITED, fork, private_bytes
from dslnode.cli.testbed_log import last_words, progress_line, progress_of
from dslnode.cli.testbed_plan import PlannedNode
from dslnode.errors import ExitCode, SettingsError

REPORT_SECONDS = 10.0
RESTART_SECONDS = 2.0
STOP_SECONDS = 30.0
"""How long nodes that are told to end may take; then they are killed."""
LASTING_FAULTS = frozenset({ExitCode.SETTINGS, ExitCode.DATA, ExitCode.LISTEN, ExitCode.STATE})
"""Why a node ended that would end again at once."""


@dataclass(frozen=True)
class Job:
    """What one child process does: its name, its work, and where its output goes."""

    name: str
    work: Callable[[], NoReturn]
    log: Path
    namespace: str = ""
    pid_file: Path | None = None


@dataclass
class Supervisor:
    """Processes of a testbed. ``say`` prints a line for the user; ``page`` keeps the page up to date, beside the nodes.

    ``report`` shows every ``report_seconds`` how far the nodes are; without it a line says so. A process must have
    ``share_memory`` behind it before it supervises.
    """

    nodes: Sequence[PlannedNode]
    say: Callable[[str], None]
    page: Job | None = None
    restart: bool = False
    report: Callable[[], None] | None = None
    report_seconds: float = REPORT_SECONDS
    _running: dict[int, Job] = field(default_factory=dict)
    _due: list[tuple[float, Job]] = field(default_factory=list)
    _finished: set[str] = field(default_factory=set)
    _log_begins: dict[str, int] = field(default_factory=dict)

    def run(self) -> ExitCode:
        """Run all nodes until they have ended or a signal says so; no process is left afterwards.

        Returns ``DONE`` if all have done their rounds, ``PROBLEM`` if some have not, else which signal it was. Raises
        ``SettingsError`` if there can be no further process.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        try:
            for job in (*map(node_job, self.nodes), *([] if self.page is None else [self.page])):
                self._start(job)
            if self.report is None:
                self.say(f"{len(self.nodes)} nodes run; Ctrl-C ends them")
            code = self._watch()
            self._report()
            return code
        finally:
            self._stop_all()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)

    def _start(self, job: Job) -> None:
        self._log_begins[job.name] = _size_of(job.log)  # what former processes said is not why this one ends
        try:
            pid = fork(job.work, log=job.log, namespace=job.namespace)
        except OSError as error:
            remedy = "start fewer nodes, or raise the limit of processes (ulimit -u)"
            raise SettingsError(
                f"--nodes {len(self.nodes)}: no further process ({error.strerror}); {remedy}"
            ) from error
        self._running[pid] = job
        if job.pid_file is not None:
            job.pid_file.write_text(f"{pid}\n", encoding="ascii")

    def _watch(self) -> ExitCode:
        report_at = time.monotonic() + self.report_seconds
        while self._nodes_running or self._due:
            arrived = signal.sigtimedwait(AWAITED, self._pause(report_at))
            if arrived is not None and arrived.si_signo in ENDINGS:
                return ENDINGS[signal.Signals(arrived.si_signo)]
            for job, code in list(self._ended()):
                self._take_end(job, code)
            self._start_due()
            if time.monotonic() >= report_at:
                self._report()
                report_at = time.monotonic() + self.report_seconds
        return ExitCode.DONE if len(self._finished) == len(self.nodes) else ExitCode.PROBLEM

    @property
    def _nodes_running(self) -> list[int]:
        return [pid for pid, job in self._running.items() if job is not self.page]

    def _pause(self, report_at: float) -> float:
        return max(0.0, min([report_at, *(moment for moment, _ in self._due)]) - time.monotonic())

    def _ended(self) -> Iterator[tuple[Job, int]]:
        """Yield each process that has ended since, with its exit code; the negative signal if one killed it."""
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                job = self._running.pop(pid)
                if job.pid_file is not None:
                    job.pid_file.unlink(missing_ok=True)
                yield job, os.waitstatus_to_exitcode(status)

    def _take_end(self, job: Job, code: int) -> None:
        """Say that a process ended, and decide whether it starts again; the page always does."""
        if code == ExitCode.DONE:
            self._finished.add(job.name)
            return
        again = (self.restart and code not in LASTING_FAULTS) or job is self.page
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        why = f": {words}" if code > 0 and (words := last_words(job.log, self._log_begins[job.name])) else ""
        self.say(f"{job.name} {how}{', and is started again' if again else ''}{why}")
        if again:
            self._due.append((time.monotonic() + RESTART_SECONDS, job))

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [job for moment, job in self._due if moment <= now]
        self._due = [(moment, job) for moment, job in self._due if moment > now]
        for job in due:
            self._start(job)

    def _report(self) -> None:
        if self.report is not None:
            self.report()
            return
        line = progress_line([progress_of(node.log) for node in self.nodes])
        running = self._nodes_running
        memory = sorted(filter(None, map(_private_or_none, running)))
        used = f", private memory {si_amount(median(memory))} (largest {si_amount(memory[-1])})" if memory else ""
        lost = len(self.nodes) - len(running) - len(self._finished)
        missing = f", {lost} are missing" if lost else ""
        self.say(f"{len(running)} run, {len(self._finished)} have finished{missing}: {line}{used}")

    def _stop_all(self) -> None:
        """End the nodes, then the page, which shows how they ended."""
        self._stop(self._nodes_running)
        self._stop(list(self._running))

    def _stop(self, processes: Sequence[int]) -> None:
        """End processes in good order, also those that the user has paused; kill those that do not end in time."""
        for pid in processes:
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + STOP_SECONDS
        while (waiting := self._running.keys() & processes) and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, max(0.0, deadline - time.monotonic()))
            list(self._ended())
        for pid in waiting:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del self._running[pid]


def node_job(node: PlannedNode) -> Job:
    """Return what the process of a node does; at a restart it does not wait for neighbours that may be gone."""

    def live() -> NoReturn:
        from dslnode.cli.node_process import run_process

        has_state = (node.directory / "state" / "state").exists()
        run_process(node.settings.model_copy(update={"wait_for_peers": 0.0}) if has_state else node.settings)

    return Job(node.name, live, node.log, node.namespace, node.pid_file)


def _private_or_none(pid: int) -> int | None:
    try:
        return private_bytes(pid)
    except OSError:  # it has just ended
        return None


def _size_of(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:  # there is none yet
        return 0
