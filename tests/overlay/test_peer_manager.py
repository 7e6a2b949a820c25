"""Real networks on loopback that find each other from one address, heal, and are not led astray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from dslnode.overlay import peer_manager as neighbourhood_module
from dslnode.overlay.peer_manager import MAX_DIALS, PeerManager
from dslnode.protocol import membership
from dslnode.protocol.membership import MemberRecord, MembershipUpdate
from dslnode.security.channels import PlainChannels
from dslnode.telemetry.logs import Logger
from dslnode.transport import dialer
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.link_events import LinkEvent, LinkUp, MaskArrived, MembershipUpdateArrived
from tests.cluster.processes import free_port
from tests.runtime.test_credential_watch import Log
from tests.transport.nodes import SMALL, Loopback, Node, loopback, message, node_info


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_PAUSE", 0.02), ("LONGEST_PAUSE", 0.1), ("CONNECT_SECONDS", 0.5)):
        monkeypatch.setattr(dialer, name, seconds)
    for name, seconds in (
        ("TICK_SECONDS", 0.05),
        ("GATHERING_SECONDS", 0.01),
        ("GRACE_SECONDS", 0.1),
        ("LONGEST_PAUSE", 0.2),
    ):
        monkeypatch.setattr(neighbourhood_module, name, seconds)


@dataclass
class Member(Node):
    """A node with a neighbourhood."""

    peers: tuple[str, ...] = ()
    limit: int = 16
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.registry = CollectorRegistry()
        self.neighbourhood = PeerManager(
            self.network,
            self.peers,
            self.limit,
            channels=PlainChannels(),
            log=cast(Logger, self.log),
            registry=self.registry,
        )

    def components(self) -> float | None:
        """Return what the metric says."""
        return self.registry.get_sample_value("dslnode_components")

    def _record(self, event: LinkEvent) -> None:
        self.neighbourhood.notice(event)
        super()._record(event)


class Town:
    """Starts members on loopback."""

    def __init__(self, net: Loopback) -> None:
        self.net = net

    async def member(self, number: int, *peers: str, dialable: bool = True, port: int = 0, **more: Any) -> Member:
        """Start a member that knows these addresses; others learn of its own if it is dialable."""
        port = port or free_port()
        me = replace(node_info(number), advertise=f"127.0.0.1:{port}" if dialable else "", members=True)
        member = Member(self.net.news, me, SMALL, port=port, peers=peers, **more)
        await self.net.start(member)
        member.tasks += [member.spawn(job) for job in member.neighbourhood.jobs()]
        return member


@pytest_asyncio.fixture
async def town() -> AsyncIterator[Town]:
    async with loopback() as net:
        yield Town(net)


async def turned(condition: Callable[[], object]) -> None:
    """Wait for what ticks bring about, which nobody reports."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_one_address_is_enough_to_be_linked_with_all(town: Town) -> None:
    first = await town.member(1)
    others = [await town.member(number, first.address) for number in range(2, 6)]
    await town.net.connected(first, *others)
    await turned(lambda: len(others[-1].neighbourhood.outlook.reachable) == 5)
    assert others[-1].components() == 1


async def test_a_node_that_can_only_dial_out_is_a_full_neighbour_over_its_own_streams(town: Town) -> None:
    first = await town.member(1)
    second = await town.member(2, first.address)
    hidden = await town.member(3, first.address, dialable=False)
    await town.net.connected(first, second, hidden)
    second.network.send(hidden.me.key, message(SMALL, 5, 7))
    hidden.network.send(second.me.key, message(SMALL, 6, 8))
    await town.net.news.until(lambda: hidden.all(MaskArrived) and second.all(MaskArrived))
    assert hidden.network.links[second.me.key].we_dialled
    assert [report.message.round for report in second.all(MaskArrived)] == [8]


async def test_a_node_that_vanished_is_missed_and_found_again_though_nobody_was_told_its_address(town: Town) -> None:
    first = await town.member(1)
    second = await town.member(2, first.address)
    third = await town.member(3, first.address)
    await town.net.connected(first, second, third)
    await turned(lambda: all(len(one.neighbourhood.outlook.reachable) == 3 for one in (first, second)))
    await third.stop()
    await turned(lambda: second.components() == 2 and first.components() == 2)
    await turned(lambda: ("warning", "network in parts") in second.log.take())
    back = await town.member(3, port=third.port)
    await town.net.connected(first, second, back)
    await turned(lambda: second.components() == 1)
    await turned(lambda: ("info", "network is whole again") in second.log.take())
    assert second.registry.get_sample_value("dslnode_members", {"state": "known"}) == 3


async def test_who_leaves_in_good_order_is_not_missed(town: Town) -> None:
    first = await town.member(1)
    second = await town.member(2, first.address)
    await town.net.connected(first, second)
    await turned(lambda: second.me.key in first.neighbourhood.roster.others)
    second.neighbourhood.leave()
    second.network.leave("it is stopping")
    await town.net.news.until(lambda: not first.network.links)
    await turned(lambda: first.neighbourhood.outlook.reachable == {first.me.key})
    assert first.components() == 1


async def test_whom_a_node_knew_before_a_restart_it_finds_again_without_peers(town: Town) -> None:
    first = await town.member(1)
    second = await town.member(2, first.address)
    await town.net.connected(first, second)
    await turned(second.neighbourhood.known)
    facts = {"neighbours": [], "members": second.neighbourhood.known()}
    await second.stop()
    again = await town.member(2, dialable=False)
    again.neighbourhood.recall(facts)
    await town.net.connected(first, again)


async def test_without_room_only_those_who_need_a_link_are_taken_in_and_all_stay_in_reach(town: Town) -> None:
    members = [await town.member(1, limit=2)]
    for number in range(2, 9):
        members.append(await town.member(number, members[-1].address, limit=2))
    everybody = {member.me.key for member in members}
    await turned(lambda: all(one.neighbourhood.outlook.reachable == everybody for one in members))


async def test_with_a_limit_of_none_nobody_is_dialled_but_the_peers(town: Town) -> None:
    first = await town.member(1)
    second = await town.member(2, first.address, limit=0)
    third = await town.member(3, first.address, limit=0)
    await town.net.connected(first, third)
    await town.net.connected(first, second)
    await turned(lambda: len(third.neighbourhood.outlook.reachable) == 3)
    assert third.me.key not in second.network.links
    assert third.components() == 1


async def test_made_up_addresses_are_dialled_a_few_at_a_time(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def hang(_: ConnectionManager, address: str, __: object) -> bool:
        tried.append(address)
        await asyncio.Event().wait()
        return False

    monkeypatch.setattr(neighbourhood_module, "dial", hang)
    first = await town.member(1)
    liar = node_info(2)
    fakes = [MemberRecord(f"{number:032x}", 1, "fake", f"127.0.0.1:{number + 1}") for number in range(32)]
    first.network.report(MembershipUpdateArrived(liar, MembershipUpdate(tuple(fakes))))
    await turned(lambda: len(tried) >= MAX_DIALS)
    await asyncio.sleep(0.2)  # four ticks in which more could be dialled
    assert len(tried) == len(set(tried)) == MAX_DIALS


async def test_a_neighbour_whose_address_is_none_is_known_without_it(town: Town) -> None:
    first = await town.member(1)
    odd = await town.net.node(2, me=replace(node_info(2), advertise="no address at all"))
    odd.dial(first.address)
    await town.net.connected(first, odd)
    assert not first.neighbourhood.roster.others[odd.me.key].address
    await turned(lambda: odd.me.key in first.neighbourhood.outlook.reachable)
    await odd.stop()
    await turned(lambda: first.components() == 2)


async def test_a_neighbour_that_reads_no_such_frames_is_told_nothing(town: Town) -> None:
    first = await town.member(1)
    old = await town.net.node(2)
    old.dial(first.address)
    await town.net.connected(first, old)
    await turned(lambda: old.me.key in first.neighbourhood.outlook.reachable)
    assert [type(report) for report in old.events] == [LinkUp]


async def test_a_neighbour_that_makes_up_nodes_for_ever_fills_no_memory(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (neighbourhood_module, membership):
        monkeypatch.setattr(module, "MAX_MEMBERS", 40)
    first = await town.member(1)
    liar = await town.member(2, first.address)
    await town.net.connected(first, liar)
    for lie in range(0, 2_000, 32):
        fakes = [MemberRecord(f"{number:032x}", 1, "fake", "") for number in range(lie, lie + 32)]
        liar.network.send(first.me.key, MembershipUpdate(tuple(fakes)))
    last = MemberRecord("ff" * 16, 1, "last", "")
    liar.network.send(first.me.key, MembershipUpdate((last,)))
    await turned(lambda: any(last in report.update.records for report in first.all(MembershipUpdateArrived)))
    assert len(first.neighbourhood.roster.others) <= 40
    assert liar.me.key in first.neighbourhood.outlook.reachable
