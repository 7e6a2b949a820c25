"""The bookkeeper of a simulated node: the daemon's, without a disk; it can be copied to another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dslnode.accounting.bookkeeper import Bookkeeper
from dslnode.accounting.metered_network import MeteredNetwork
from dslnode.telemetry.logs import library_logger

OF_A_PROCESS = ("_log", "_problem", "_saving", "_writing")
"""What of a bookkeeper belongs to its process: locks, and a log that has nothing to say without a disk."""


class VirtualBookkeeper(Bookkeeper):
    """Keeps the ledger of one simulated node."""

    @classmethod
    def of(cls, network: MeteredNetwork, clock: Callable[[], float]) -> VirtualBookkeeper:
        """Return the one of a node; ``clock`` returns virtual seconds."""
        return cls(network, None, library_logger(), clock)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return {name: value for name, value in self.__dict__.items() if name not in OF_A_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take that from a new one."""
        fresh = VirtualBookkeeper.of(state["_network"], state["_clock"])
        self.__dict__.update({**fresh.__dict__, **state})
