"""Real networks on loopback that find each other from one address, heal, and resist made-up members."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dslnode.overlay import peer_manager as peer_manager_module
from dslnode.protocol import membership
from dslnode.protocol.membership import MemberRecord, MembershipUpdate
from dslnode.transport.link_events import LinkUp, MaskArrived, MembershipUpdateArrived
from tests.overlay.members import Network, eventually
from tests.transport.nodes import SMALL, message, node_info


async def test_one_address_is_enough_to_be_linked_with_all(network: Network) -> None:
    first = await network.member(1)
    others = [await network.member(number, first.address) for number in range(2, 6)]
    await network.net.connected(first, *others)
    await eventually(lambda: len(others[-1].peer_manager.view.reachable) == 5)
    assert others[-1].components() == 1


async def test_a_node_that_can_only_dial_out_is_a_full_neighbour_over_its_own_streams(network: Network) -> None:
    first = await network.member(1)
    second = await network.member(2, first.address)
    hidden = await network.member(3, first.address, dialable=False)
    await network.net.connected(first, second, hidden)
    second.network.send(hidden.me.key, message(SMALL, 5, 7))
    hidden.network.send(second.me.key, message(SMALL, 6, 8))
    await network.net.news.until(lambda: hidden.all(MaskArrived) and second.all(MaskArrived))
    assert hidden.network.links[second.me.key].we_dialled
    assert [report.message.round for report in second.all(MaskArrived)] == [8]


async def test_a_node_that_vanished_is_missed_and_found_again_without_its_address_in_peers(network: Network) -> None:
    first = await network.member(1)
    second = await network.member(2, first.address)
    third = await network.member(3, first.address)
    await network.net.connected(first, second, third)
    await eventually(lambda: all(len(member.peer_manager.view.reachable) == 3 for member in (first, second)))
    await third.stop()
    await eventually(lambda: second.components() == 2 and first.components() == 2)
    await eventually(lambda: ("warning", "network split") in second.log.take())
    back = await network.member(3, port=third.port)
    await network.net.connected(first, second, back)
    await eventually(lambda: second.components() == 1)
    await eventually(lambda: ("info", "network whole again") in second.log.take())
    assert second.registry.get_sample_value("dslnode_members", {"state": "known"}) == 3


async def test_a_node_that_leaves_is_not_missed(network: Network) -> None:
    first = await network.member(1)
    second = await network.member(2, first.address)
    await network.net.connected(first, second)
    await eventually(lambda: second.me.key in first.peer_manager.members.others)
    second.peer_manager.leave()
    second.network.leave("it is stopping")
    await network.net.news.until(lambda: not first.network.links)
    await eventually(lambda: first.peer_manager.view.reachable == {first.me.key})
    assert first.components() == 1


async def test_members_of_a_snapshot_are_found_again_after_a_restart_without_peers(network: Network) -> None:
    first = await network.member(1)
    second = await network.member(2, first.address)
    await network.net.connected(first, second)
    await eventually(second.peer_manager.snapshot)
    metadata = {"neighbours": [], "members": second.peer_manager.snapshot()}
    await second.stop()
    again = await network.member(2, dialable=False)
    again.peer_manager.restore(metadata)
    await network.net.connected(first, again)


async def test_at_the_limit_only_essential_links_are_added_and_all_stay_reachable(network: Network) -> None:
    members = [await network.member(1, limit=2)]
    for number in range(2, 9):
        members.append(await network.member(number, members[-1].address, limit=2))
    everybody = {member.me.key for member in members}
    await eventually(lambda: all(member.peer_manager.view.reachable == everybody for member in members))


async def test_with_a_limit_of_zero_only_peers_are_dialled(network: Network) -> None:
    first = await network.member(1)
    second = await network.member(2, first.address, limit=0)
    third = await network.member(3, first.address, limit=0)
    await network.net.connected(first, third)
    await network.net.connected(first, second)
    await eventually(lambda: len(third.peer_manager.view.reachable) == 3)
    assert third.me.key not in second.network.links
    assert third.components() == 1


async def test_a_neighbour_with_a_malformed_address_is_a_member_without_it(network: Network) -> None:
    first = await network.member(1)
    odd = await network.net.node(2, me=replace(node_info(2), advertise="no address at all"))
    odd.dial(first.address)
    await network.net.connected(first, odd)
    assert not first.peer_manager.members.others[odd.me.key].address
    await eventually(lambda: odd.me.key in first.peer_manager.view.reachable)
    await odd.stop()
    await eventually(lambda: first.components() == 2)


async def test_a_neighbour_without_membership_frames_is_sent_none(network: Network) -> None:
    first = await network.member(1)
    old = await network.net.node(2)
    old.dial(first.address)
    await network.net.connected(first, old)
    await eventually(lambda: old.me.key in first.peer_manager.view.reachable)
    assert [type(report) for report in old.events] == [LinkUp]


async def test_endless_made_up_members_do_not_fill_the_memory(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (peer_manager_module, membership):
        monkeypatch.setattr(module, "MAX_MEMBERS", 40)
    first = await network.member(1)
    liar = await network.member(2, first.address)
    await network.net.connected(first, liar)
    for lie in range(0, 1_600, 32):
        fakes = [MemberRecord(f"{number:032x}", 1, "fake", "") for number in range(lie, lie + 32)]
        liar.network.send(first.me.key, MembershipUpdate(tuple(fakes)))
    last = MemberRecord("ff" * 16, 1, "last", "")
    liar.network.send(first.me.key, MembershipUpdate((last,)))
    await eventually(lambda: any(last in report.update.records for report in first.all(MembershipUpdateArrived)))
    assert len(first.peer_manager.members.others) <= 40
    assert liar.me.key in first.peer_manager.view.reachable
