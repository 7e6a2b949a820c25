"""One side of a link for masks of a hundred million weights, as a process whose peak memory is measured."""

from __future__ import annotations

import asyncio
import resource
import sys
from dataclasses import replace

from bitarray import bitarray, frozenbitarray

from dslnode.protocol.mask import MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskMessage
from dslnode.transport.link_events import MaskArrived
from tests.transport.nodes import Loopback, loopback, message

HUGE = MaskLayout((MaskLayer("first", (60_000, 1_000)), MaskLayer("last", (1_000, 40_000))))
STRIDE = 1_000
"""One weight of so many flips from the first mask to the second."""
PATIENCE = 600.0


def masks() -> tuple[MaskMessage, MaskMessage]:
    """Return a random mask, which no coder makes smaller, and one with a thousandth of its bits flipped."""
    first = message(HUGE, 1)
    flipped = bitarray(first.mask.bits)
    flipped[::STRIDE] = ~flipped[::STRIDE]
    return first, replace(first, round=1, mask=replace(first.mask, bits=frozenbitarray(flipped)))


def peak() -> int:
    """Return the most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def receive(net: Loopback) -> int:
    """Take in both masks; return by how much this process grew meanwhile."""
    node = await net.node(2, HUGE)
    before = peak()
    print(node.port, flush=True)
    async with asyncio.timeout(PATIENCE):
        while len(node.all(MaskArrived)) < 2:
            await asyncio.sleep(0.05)
    grown = peak() - before
    assert tuple(report.message for report in node.all(MaskArrived)) == masks()
    return grown


async def send(net: Loopback, port: int) -> int:
    """Send both masks, one after the other; return by how much this process grew meanwhile."""
    node = await net.node(1, HUGE)
    first, second = masks()
    before = peak()
    node.dial(f"127.0.0.1:{port}")
    async with asyncio.timeout(PATIENCE):
        await node.network.wait_until_linked(1)
        [key] = node.network.links
        for number, mask in enumerate((first, second), start=1):
            node.network.send(key, mask)
            while node.network.traffic[key].sent.masks < number:
                await asyncio.sleep(0.05)
    print(node.network.traffic[key].sent.payload_bits, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return peak() - before


async def main(*port: str) -> None:
    """Receive, or with a port send there; print the peak memory at the end."""
    async with loopback() as net:
        print(await (send(net, int(port[0])) if port else receive(net)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
