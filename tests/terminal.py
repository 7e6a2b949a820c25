"""A real terminal for tests of what draws on one or listens to keys: tmux, without any settings of its user."""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path

from dslnode.cli.daemon_process import clean_environment
from tests.cluster.processes import DEADLINE


class Terminal:
    """A program in tmux, 80 columns and 24 lines, on a server of its own."""

    def __init__(self, socket: Path, command: list[str]) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        environment = {**clean_environment(), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        subprocess.run(
            [*self._tmux, "new-session", "-d", "-x", "80", "-y", "24", shlex.join(command)],
            env=environment,
            check=True,
            timeout=30,
        )

    def press(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True, timeout=30)

    def screen(self) -> str:
        """Return what stands on the screen; nothing once the program has ended."""
        done = subprocess.run(
            [*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    def wait_for(self, *wanted: str, without: str = "\0") -> str:
        """Return the first screen that has all that is wanted; fail after the deadline."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            shown = self.screen()
            if all(text in shown for text in wanted) and without not in shown:
                return shown
            time.sleep(0.1)
        raise AssertionError(f"{wanted} did not come:\n{self.screen()}")

    def has_ended(self) -> bool:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            alive = subprocess.run([*self._tmux, "has-session"], capture_output=True, timeout=30, check=False)
            if alive.returncode:
                return True
            time.sleep(0.1)
        return False

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, timeout=30, check=False)
