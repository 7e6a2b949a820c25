"""Bytes on the wire for one coded mask: two nodes over loopback, counted by the kernel both ways."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import numpy as np
from bitarray import frozenbitarray

from benchmarks.report import Row
from dslnode.protocol.codec.mask_codec import READABLE, checksum
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.dialer import keep_dialing
from dslnode.transport.handshake import NetworkFingerprint, NodeInfo
from dslnode.transport.link_events import LinkEvent, MaskArrived
from dslnode.transport.link_factory import LinkFactory
from dslnode.transport.server import Server
from dslnode.v1 import node_pb2 as pb

PATIENCE = 60.0
WARM_UP = 3
SHARES = {500: 0.0018, 20_000: 0.243}
"""Flips by coded bytes."""


class End:
    """One node: its network and what arrived."""

    def __init__(self, number: int, start: Mask) -> None:
        layout = start.layout
        facts = NetworkFingerprint(
            fingerprint=layout.digest, layout=layout.digest, layers=1, weights=layout.size, seed=1, scores=layout.size
        )
        name = bytes([number])
        known = checksum(start.to_bytes())
        me = NodeInfo(
            run_id="bench",
            node_id=name * 16,
            incarnation=name * 8,
            name=str(number),
            advertise="",
            model=facts,
            exchange="keep",
            codecs=READABLE,
            start=known,
        )
        self.arrived = 0
        self.news = asyncio.Condition()
        edges = LinkFactory(me, dict.fromkeys(MaskKind, layout), start)
        self.network = ConnectionManager(me, edges, lambda: 0, self._take)
        self.server = Server(self.network, pb.StatusReply)

    def _take(self, report: LinkEvent) -> None:
        self.arrived += isinstance(report, MaskArrived)


def series(coded_bytes: int, count: int) -> list[Mask]:
    """Return a start and then masks that take about so many bytes each, coded against the one before."""
    layout = MaskLayout((MaskLayer("only", (8 * 25_000,)),))
    draws, share = np.random.default_rng(1), SHARES[coded_bytes]
    masks = [_flip(Mask.from_bytes(layout, bytes(layout.byte_size)), draws, 0.3)]
    for _ in range(count):
        masks.append(_flip(masks[-1], draws, share))
    return masks


async def wire_row(coded_bytes: int, messages: int) -> Row:
    """Send masks of about this many coded bytes one way, one after the other; return bytes on the wire over them."""
    masks = series(coded_bytes, messages + WARM_UP)
    one, other = End(1, masks[0]), End(2, masks[0])
    port = await other.server.listen("127.0.0.1:0")
    dialling = asyncio.ensure_future(keep_dialing(one.network, f"127.0.0.1:{port}", random.Random(1)))
    try:
        async with asyncio.timeout(PATIENCE):
            await one.network.wait_until_linked(1)
            for number, mask in enumerate(masks[1:]):
                if number == WARM_UP:
                    before = await _quiet(one)
                one.network.send(other.network.me.key, MaskMessage(number, MaskKind.KEEP, mask))
                while other.arrived <= number:
                    await asyncio.sleep(0)
            after = await _quiet(one)
    finally:
        dialling.cancel()
        await other.server.stop(0)
    payload, *wire = (b - a for a, b in zip(before, after, strict=True))
    return {
        "what": f"wire, messages of {payload / 8 / messages:,.0f} bytes",
        "coded_bytes": payload / 8 / messages,
        "wire_bytes": wire[0] / messages,
        "answer_bytes": wire[1] / messages,
        "wire_over_coded": 8 * wire[0] / payload,
        "both_ways_over_coded": 8 * sum(wire) / payload,
    }


async def _quiet(end: End) -> tuple[int, int, int]:
    """Return what is counted once it grows no more: acknowledgements come late on a busy machine."""
    former = None
    while former != (now := counted(end)):
        former = now
        await asyncio.sleep(0.2)
    return now


def counted(end: End) -> tuple[int, int, int]:
    """Return bits of masks sent so far, and bytes sent and received by the kernel's count."""
    end.network.measure_traffic()
    [key] = end.network.links
    traffic = end.network.traffic[key]
    return traffic.sent.payload_bits, traffic.sent.link_bytes, traffic.received.link_bytes


def _flip(mask: Mask, draws: np.random.Generator, share: float) -> Mask:
    flips = np.packbits(draws.random(mask.layout.size) < share, bitorder="little").tobytes()
    return replace(mask, bits=mask.bits ^ frozenbitarray(buffer=flips, endian="little"))
