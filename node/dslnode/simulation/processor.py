"""The processor of a simulated node: one command after the other, each in its time, as the daemon's worker thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from dslnode.learning.options import TrainingOptions
from dslnode.protocol.events import Aggregate, Command, Train
from dslnode.simulation.boards import Board, aggregation_steps


class Processor:
    """Commands that wait for a board's processor.

    ``plan`` is told when the one that runs will be done, and ``done`` is then to be called; ``work`` does it. A command
    that takes no time is done at once.
    """

    def __init__(
        self,
        board: Board,
        options: TrainingOptions,
        *,
        plan: Callable[[float, Command], None],
        work: Callable[[Command], None],
    ) -> None:
        self._board, self._options = board, options
        self._plan, self._work = plan, work
        self._waiting: deque[Command] = deque()
        self._busy = False

    def take(self, command: Command) -> None:
        """Do a command after those that wait."""
        self._waiting.append(command)
        self._go_on()

    def done(self, command: Command) -> None:
        """Do the command whose time is over, and go on with those that wait."""
        self._busy = False
        self._work(command)
        self._go_on()

    def seconds(self, command: Command) -> float:
        """Return how long a command takes; the steps of the exchange take no time."""
        step = self._board.step_seconds
        if isinstance(command, Train):
            return step * self._options.local_steps
        if isinstance(command, Aggregate):
            return step * aggregation_steps(len(command.neighbours))
        return 0.0

    def _go_on(self) -> None:
        while self._waiting and not self._busy:
            command = self._waiting.popleft()
            seconds = self.seconds(command)
            if seconds:
                self._busy = True
                self._plan(seconds, command)
            else:
                self._work(command)
