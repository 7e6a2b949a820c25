"""Virtual time of rounds in which every node waits for its neighbours' messages before it aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np

from dslnode.simulation.boards import aggregation_steps
from dslnode.simulation.link_model import transfer
from dslnode.simulation.plan import SimulationPlan

MESSAGE_BYTES = 64
"""What frames a message beside its payload: gRPC, protobuf, the number of the round, the names of layers."""


class RoundClock:
    """Seconds since the beginning, seconds of the last round, and what was sent so far: lists with an entry per node.

    A node's line sends one message after the other; lost packets are drawn by the seed.
    """

    def __init__(self, plan: SimulationPlan, *, local_steps: int, seed: int) -> None:
        count = len(plan.boards)
        self.seconds, self.round_seconds = [0.0] * count, [0.0] * count
        self.payload_bits, self.wire_bytes = [0.0] * count, [0] * count
        self._plan, self._local_steps = plan, local_steps
        self._line_free = [0.0] * count
        self._draws = np.random.Generator(np.random.PCG64([seed, count, 3]))

    def advance(self, payload_bits: Mapping[int, float]) -> None:
        """Let all nodes train, send so many bits to each of their neighbours, and aggregate what these send.

        A node that is not in the mapping sends nothing.
        """
        boards, neighbours = self._plan.boards, self._plan.neighbours
        began = self.seconds
        ready = [at + self._local_steps * board.step_seconds for at, board in zip(began, boards, strict=True)]
        arrived = list(ready)
        for node, bits in payload_bits.items():
            for peer in neighbours[node]:
                arrived[peer] = max(arrived[peer], self._send(node, ready[node], bits))
        self.seconds = [
            at + aggregation_steps(len(around)) * board.step_seconds if around and payload_bits else at
            for at, board, around in zip(arrived, boards, neighbours, strict=True)
        ]
        self.round_seconds = [after - before for after, before in zip(self.seconds, began, strict=True)]

    def _send(self, node: int, ready: float, bits: float) -> float:
        """Return when a message arrives that is ready at this time."""
        begin = max(ready, self._line_free[node])
        sent = transfer(self._plan.line, ceil(bits / 8) + MESSAGE_BYTES, self._draws)
        self._line_free[node] = begin + sent.busy_seconds
        self.payload_bits[node] += bits
        self.wire_bytes[node] += sent.wire_bytes + sent.resent_bytes
        return begin + sent.seconds
