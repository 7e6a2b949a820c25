"""Holders of tickets who lie about members, or say too much: what honest nodes make of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dslnode.overlay import announced_dials
from dslnode.overlay.record_forwarding import BURST_VERSIONS, SECONDS_PER_VERSION
from dslnode.protocol.membership import MemberRecord, MembershipUpdate
from dslnode.transport import dialer
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.link_events import MembershipUpdateArrived
from dslnode.transport.rate_limit import RECORDS_DEPTH
from tests.networks import Operator
from tests.overlay.members import Member, Network, eventually
from tests.transport.nodes import node_info


def own_record(liar: Member, version: int, address: str = "") -> MemberRecord:
    """Return what the liar says of itself, signed by its ticket."""
    assert liar.signatures is not None
    record = MemberRecord(liar.me.key, version, liar.me.name, address or liar.address)
    return liar.signatures.sign(record)


def tell(liar: Member, listener: Member, *records: MemberRecord) -> None:
    liar.network.send(listener.me.key, MembershipUpdate(records))


async def test_records_are_signed_and_reach_all(network: Network, operator: Operator) -> None:
    first = await network.holder(operator.ticket("one"))
    second = await network.holder(operator.ticket("two"), first.address)
    third = await network.holder(operator.ticket("three"), second.address)
    await network.net.connected(first, second, third)
    await eventually(lambda: first.peer_manager.members.others[third.me.key].signature)
    assert not first.refusals() + second.refusals() + third.refusals()


async def test_who_speaks_for_another_node_is_banned(network: Network, operator: Operator) -> None:
    first = await network.holder(operator.ticket("one"))
    liar = await network.holder(operator.ticket("liar"), first.address, managed=False)
    await network.net.connected(first, liar)
    victim = replace(own_record(liar, 1), key="ab" * 16, name="victim")
    tell(liar, first, victim)
    await network.net.news.until(first.refusals)
    assert set(first.refusals()) == {"forged"}
    assert first.network.ban_reason(liar.me.key) == "forged"
    assert victim.key not in first.peer_manager.members.others


async def test_endless_versions_do_not_have_honest_nodes_ban_each_other(network: Network, operator: Operator) -> None:
    relay = await network.holder(operator.ticket("relay"))
    listener = await network.holder(operator.ticket("listener"), relay.address, limit=0)
    liar = await network.holder(operator.ticket("liar"), relay.address, managed=False, limit=0)
    await network.net.connected(relay, listener)
    await network.net.connected(relay, liar)
    last = int(RECORDS_DEPTH) // 2
    for version in range(10, last + 1):  # each says something else: half of what the relay allows at once
        tell(liar, relay, own_record(liar, version, f"127.0.0.1:{1 + version % 2}"))
        if version % 100 == 0:
            await asyncio.sleep(0.02)  # the relay's ticks pass on what is new meanwhile

    def newest(member: Member) -> int:
        record = member.peer_manager.members.others.get(liar.me.key)
        return 0 if record is None else record.version

    began = asyncio.get_running_loop().time()
    await eventually(lambda: newest(listener) == last)
    seconds = asyncio.get_running_loop().time() - began
    updates = [event.update for event in listener.all(MembershipUpdateArrived) if event.neighbour == relay.me]
    heard = [record for update in updates for record in update.records if record.key == liar.me.key]
    assert len(heard) <= BURST_VERSIONS + 3 + (seconds + 2) / SECONDS_PER_VERSION
    assert not listener.refusals()
    assert listener.me.key in relay.network.links


async def test_too_many_records_are_a_flood(network: Network, operator: Operator) -> None:
    first = await network.holder(operator.ticket("one"))
    liar = await network.holder(operator.ticket("liar"), first.address, managed=False)
    await network.net.connected(first, liar)
    record = own_record(liar, 1)
    for _ in range(int(RECORDS_DEPTH) // 32 + 5):
        tell(liar, first, *[record] * 32)
    await network.net.news.until(first.refusals)
    assert set(first.refusals()) == {"flood"}


async def test_one_update_at_most_waits_for_a_neighbour_that_reads_nothing(
    network: Network, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await network.holder(operator.ticket("one"))
    mute = await network.holder(operator.ticket("mute"), first.address, managed=False)
    liar = await network.holder(operator.ticket("liar"), first.address, managed=False)
    await network.net.connected(first, mute)
    await network.net.connected(first, liar)
    link = first.network.links[mute.me.key]
    stuck = asyncio.Event()

    async def hang(_frame: object) -> None:
        stuck.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(link, "_write", hang)
    version = 10
    while not stuck.is_set() or version < 500:
        version += 1
        tell(liar, first, own_record(liar, version, f"127.0.0.1:{1 + version % 2}"))
        await asyncio.sleep(0.002)
    await eventually(lambda: first.peer_manager.members.others[liar.me.key].version == version)
    assert sum(isinstance(message, MembershipUpdate) for message in link._outbox) <= 1


async def test_an_address_that_nobody_has_proven_is_dialled_by_two_nodes_only(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announced_dials, "UNPROVEN_PAUSE_SECONDS", 60.0)
    dialled: list[tuple[str, str]] = []
    real = dialer.dial

    async def watched(manager: ConnectionManager, address: str, channels: object) -> bool:
        dialled.append((manager.me.key, address))
        return await real(manager, address, channels)  # type: ignore[arg-type]

    monkeypatch.setattr(announced_dials, "dial", watched)
    first = await network.member(1)
    others = [await network.member(number, first.address) for number in range(2, 8)]
    await network.net.connected(first, *others)
    liar = node_info(99)
    false = MemberRecord(liar.key, 1, "liar", "127.0.0.1:9", frozenset({first.me.key}))
    first.network.report(MembershipUpdateArrived(liar, MembershipUpdate((false,))))
    everyone = [first, *others]
    await eventually(lambda: all(liar.key in member.peer_manager.members.others for member in everyone))
    await eventually(lambda: any(address == "127.0.0.1:9" for _, address in dialled))
    await asyncio.sleep(0.5)  # ten ticks in which the others could dial it
    assert 1 <= sum(address == "127.0.0.1:9" for _, address in dialled) <= 2
