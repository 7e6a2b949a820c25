"""A link's queue: what waits for a neighbour that reads slowly stays bounded in bytes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from dslnode.errors import PeerError
from dslnode.protocol.mask import MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind
from dslnode.transport.frame_codec import FrameCodec
from dslnode.transport.link import MAX_WAITING_BYTES, MAX_WAITING_MASKS, Link
from dslnode.transport.traffic import Traffic
from tests.transport.nodes import PATIENCE, SMALL, message, node_info


class MuteStream:
    """Takes no frame, and never brings one."""

    async def read(self) -> object:
        return await asyncio.Event().wait()

    async def write(self, _frame: object) -> None:
        await asyncio.Event().wait()


def open_link() -> Link:
    codec = SimpleNamespace(decoder=SimpleNamespace(mask_incomplete=False), references=None)
    codec.encoder = SimpleNamespace(holding_frame=lambda: SimpleNamespace(frame=None))
    return Link(MuteStream(), node_info(1), cast(FrameCodec, codec), Traffic(), we_dialled=True, remote=("", 1))


@pytest.mark.parametrize("megabytes", [1, 16])
async def test_a_neighbour_that_reads_nothing_holds_few_bytes(megabytes: int) -> None:
    layout = MaskLayout((MaskLayer("weights", (megabytes * 2**23,)),))
    mask = replace(message(layout, 1), kind=MaskKind.SIGN)
    link = open_link()
    running = asyncio.ensure_future(link.run(lambda _: None))
    for _ in range(50):
        link.send(mask)
    with pytest.raises(PeerError, match="had to wait") as ended:
        await asyncio.wait_for(running, PATIENCE)
    assert ended.value.reason == "slow"
    room = max(MAX_WAITING_BYTES, MAX_WAITING_MASKS * layout.byte_size)
    assert room - layout.byte_size < len(link._outbox) * layout.byte_size <= room


async def test_a_newer_keep_mask_replaces_one_that_waits() -> None:
    link = open_link()
    for number in range(1_500):
        link.send(message(SMALL, number))
    assert link._outbox == type(link._outbox)([message(SMALL, 1_499)])
