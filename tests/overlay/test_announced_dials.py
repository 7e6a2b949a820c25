"""Dials to announced addresses: few at a time, whatever others announce."""

from __future__ import annotations

import asyncio

import pytest

from dslnode.overlay import announced_dials
from dslnode.overlay.announced_dials import MAX_DIALS
from dslnode.protocol.membership import MemberRecord, MembershipUpdate
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.link_events import MembershipUpdateArrived
from tests.overlay.members import Network, eventually
from tests.transport.nodes import node_info


async def test_made_up_addresses_are_dialled_a_few_at_a_time(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def hang(_: ConnectionManager, address: str, __: object) -> bool:
        tried.append(address)
        await asyncio.Event().wait()
        return False

    monkeypatch.setattr(announced_dials, "dial", hang)
    first = await network.member(1)
    liar = node_info(2)
    fakes = [MemberRecord(f"{number:032x}", 1, "fake", f"127.0.0.1:{number + 1}") for number in range(32)]
    first.network.report(MembershipUpdateArrived(liar, MembershipUpdate(tuple(fakes))))
    await eventually(lambda: len(tried) >= MAX_DIALS)
    await asyncio.sleep(0.2)  # four ticks in which more could be dialled
    assert len(tried) == len(set(tried)) == MAX_DIALS
