"""Keep masks over real links: coded against what the neighbour holds, again after a break, and the newest only."""

from __future__ import annotations

import asyncio

import pytest
from bitarray import bitarray, frozenbitarray

from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.codec.mask_codec import Codec, CodedMask, encode_for
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage, Unchanged
from dslnode.transport import encode_cache
from dslnode.transport.link_events import LinkUp, MaskArrived
from tests.transport.nodes import Loopback, Node, message, node_info, soon

LAYOUT = MaskLayout((MaskLayer("only", (100, 400)),))


def changed(mask: Mask, number: int) -> Mask:
    """Return the mask with a few bits flipped."""
    bits = bitarray(mask.bits)
    for position in range(number, number + 50 * 10, 10):
        bits.invert(position)
    return Mask(mask.layout, frozenbitarray(bits))


def sent_bytes(node: Node) -> int:
    return sum(traffic.sent.payload_bits for traffic in node.network.traffic.values()) // 8


async def send(net: Loopback, first: Node, second: Node, mask: Mask, number: int) -> None:
    """Send a keep mask and wait until it is there, bit for bit, and counted: it may arrive before it is."""
    sent, before = MaskMessage(number, MaskKind.KEEP, mask), sent_bytes(first)
    first.network.send(second.me.key, sent)
    await net.news.until(lambda: MaskArrived(first.me, sent) in second.all(MaskArrived))
    await soon(lambda: sent_bytes(first) > before)


async def test_after_the_first_mask_only_changes_travel(net: Loopback) -> None:
    one, other = await net.pair(LAYOUT)
    mask = message(LAYOUT, 1).mask
    await send(net, one, other, mask, 0)
    first = sent_bytes(one)
    assert first <= LAYOUT.byte_size
    await send(net, one, other, changed(mask, 3), 1)
    assert sent_bytes(one) - first < 150


async def test_the_first_mask_to_a_new_neighbour_is_coded_against_the_common_start(net: Loopback) -> None:
    first, second = await net.pair(LAYOUT)
    await send(net, first, second, changed(message(LAYOUT, 99).mask, 0), 0)
    assert sent_bytes(first) < 150


async def test_a_mask_that_did_not_change_travels_as_unchanged(net: Loopback) -> None:
    first, second = await net.pair(LAYOUT)
    mask = message(LAYOUT, 1).mask
    await send(net, first, second, mask, 0)
    before = sent_bytes(first)
    first.network.send(second.me.key, MaskMessage(1, MaskKind.KEEP, mask))
    await net.news.until(lambda: MaskArrived(first.me, Unchanged(1)) in second.all(MaskArrived))
    assert sent_bytes(first) == before


async def test_after_a_break_changes_go_on_from_what_arrived(net: Loopback) -> None:
    first, second = await net.pair(LAYOUT)
    mask = message(LAYOUT, 1).mask
    await send(net, first, second, mask, 0)
    first.network.links[second.me.key].close("leaving", "for a moment")
    await net.news.until(lambda: len(first.all(LinkUp)) == len(second.all(LinkUp)) == 2)
    await net.connected(first, second)
    before = sent_bytes(first)
    await send(net, first, second, changed(mask, 3), 1)
    assert sent_bytes(first) - before < 150


@pytest.mark.parametrize("who", [0, 1])
async def test_a_neighbour_that_restarts_is_sent_what_it_needs(net: Loopback, who: int) -> None:
    nodes = list(await net.pair(LAYOUT))
    mask = message(LAYOUT, 1).mask
    await send(net, nodes[0], nodes[1], mask, 0)
    await nodes[who].stop()
    nodes[who] = await net.start(nodes[who].restarted())
    if who == 0:
        nodes[0].dial(nodes[1].address)
    await net.connected(*nodes)
    async with asyncio.timeout(20):
        await send(net, nodes[0], nodes[1], changed(mask, 3), 1)


async def test_one_encoding_serves_all_neighbours_that_hold_the_same(
    net: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded: list[MaskMessage] = []

    def encode_counted(
        readable: frozenset[Codec], sent: MaskMessage, choice: ReferenceChoice, base: Reference | None
    ) -> tuple[CodedMask, Reference]:
        coded.append(sent)
        return encode_for(readable, sent, choice, base)

    monkeypatch.setattr(encode_cache, "encode_for", encode_counted)
    hub, *others = [await net.node(number, LAYOUT, node_info(number, LAYOUT)) for number in (1, 2, 3)]
    for other in others:
        hub.dial(other.address)
    await net.connected(hub, others[0])
    await net.connected(hub, others[1])
    for number in range(3):
        sent = MaskMessage(number, MaskKind.KEEP, message(LAYOUT, number).mask)
        for other in others:
            hub.network.send(other.me.key, sent)
        await net.news.until(
            lambda sent=sent: all(MaskArrived(hub.me, sent) in other.all(MaskArrived) for other in others)  # type: ignore[misc]
        )
    assert len(coded) == 3
