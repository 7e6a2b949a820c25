"""What the runner asks of a method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from dslnode.simulation.methods.bits import Bits
from dslnode.simulation.methods.network import Network

Candidates = dict[str, list[Tensor]]
"""By a short word for when or how a model is measured: every node's weights, flat."""

LOCAL_STEPS = 10  # per round, unless asked otherwise


@dataclass
class Traffic:
    """What was sent so far by all nodes over all links, and the last round's flips and density.

    ``messages`` has, by node, what it sent last to each of its neighbours.
    """

    sent: Bits = field(default_factory=Bits)
    flips: float | None = None
    density: float | None = None
    messages: dict[int, Bits] = field(default_factory=dict)

    def count(self, node: int, message: Bits, receivers: int) -> None:
        """Count a message of one node to each of its neighbours."""
        self.messages[node] = message
        self.sent += message.times(receivers)


class Method(Protocol):
    """All nodes of one run."""

    network: Network
    traffic: Traffic
    local_steps: int  # a round
    form: str  # of the models that ``personal`` returns: ``float32``, or one of masks

    def round(self, number: int) -> None:
        """Let every node train and exchange once."""

    def personal(self, *, last: bool) -> Candidates:
        """Return the nodes' models, in one way or several; the best on validation counts.

        What takes long may be left out unless this is the ``last`` time.
        """
