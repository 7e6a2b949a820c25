"""Many whole daemons in one process, all neighbours of one node and of nobody else.

``python -m tests.cluster.crowd ADDRESS FIRST COUNT`` runs them until it is ended. They learn, but for the sake of two
cores only one step a round.
"""

from __future__ import annotations

import asyncio
import sys

import torch

from dslnode.config.settings import Settings
from dslnode.runtime.node import Node
from dslnode.telemetry.logs import make_logger


def member(number: int, address: str) -> Node:
    """Return one daemon that dials the address; it learns from one of a hundred shares of the digits."""
    settings = Settings(
        name=f"member-{number}",
        listen="127.0.0.1:0",
        peers=(address,),
        max_neighbours=0,
        metrics="off",
        share=f"{number + 1}/100",
        local_steps=1,
        evaluate_every=1_000,
    )
    return Node(settings, log=make_logger("json", "error", sys.stderr))


async def run(address: str, first: int, count: int) -> None:
    """Run ``count`` daemons, numbered from ``first``, which end with the process."""
    await asyncio.gather(*(_live(member(number, address)) for number in range(first, first + count)))


async def _live(node: Node) -> None:
    async with node:
        await node.wait()


if __name__ == "__main__":
    torch.set_num_threads(1)
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
