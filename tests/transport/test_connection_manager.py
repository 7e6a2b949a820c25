"""Networks of real nodes on loopback: links come up once, masks arrive whole, the lost are found again."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import sys
from dataclasses import replace

import pytest

from dslnode.protocol.mask import MaskLayout
from dslnode.protocol.messages import IntervalRequest
from dslnode.transport import connection_manager as network_module
from dslnode.transport.dialer import keep_dialing
from dslnode.transport.handshake import NodeInfo
from dslnode.transport.link_events import DialFailed, IntervalRequested, LinkDown, LinkUp, MaskArrived, PeerRefused
from tests.transport.nodes import LARGE, SMALL, Loopback, Node, message, node_info, soon


def arrived(node: Node) -> list[int]:
    """Return the rounds of all masks that arrived."""
    return [report.message.round for report in node.all(MaskArrived)]


def exchange(first: Node, second: Node, layout: MaskLayout = SMALL, round_number: int = 0) -> None:
    """Let each of two connected nodes send a mask to the other."""
    first.network.send(second.me.key, message(layout, 1, round_number))
    second.network.send(first.me.key, message(layout, 2, round_number))


async def test_both_sides_learn_the_other_ones_identity_and_round(net: Loopback) -> None:
    first, second = await net.node(1), await net.node(2)
    first.round, second.round = 3, 8
    first.dial(second.address)
    await net.connected(first, second)
    assert first.all(LinkUp) == [LinkUp(second.me, 8, second.address)]
    assert second.all(LinkUp) == [LinkUp(first.me, 3, "")]
    assert first.network.dialled == {second.address: second.me.key}


async def test_the_answerer_reports_the_address_that_the_dialler_advertises(net: Loopback) -> None:
    first = await net.node(1, me=replace(node_info(1), advertise="board-1.local:7711"))
    second = await net.node(2)
    first.dial(second.address)
    await net.connected(first, second)
    assert [report.address for report in second.all(LinkUp)] == ["board-1.local:7711"]


@pytest.mark.parametrize("number_of_nodes", [2, 3])
async def test_nodes_that_all_dial_each_other_end_with_one_link_a_pair(net: Loopback, number_of_nodes: int) -> None:
    nodes = [await net.node(number) for number in range(number_of_nodes)]
    for first, second in itertools.permutations(nodes, 2):
        first.dial(second.address)
    await net.connected(*nodes)
    await net.news.until(lambda: agreed(nodes))
    for first, second in itertools.permutations(nodes, 2):
        first.network.send(second.me.key, message(SMALL, 10 * int(first.me.name[-1]) + int(second.me.name[-1])))
    await net.news.until(lambda: all(len(node.all(MaskArrived)) == number_of_nodes - 1 for node in nodes))
    await net.news.until(lambda: agreed(nodes))
    for node in nodes:
        assert set(node.refusals()) <= {"duplicate"}
        assert len(node.network.links) == number_of_nodes - 1


def agreed(nodes: list[Node]) -> bool:
    """Return whether for each pair of nodes exactly one says that it dialled the link that both use."""
    return all(
        first.network.links[second.me.key].we_dialled is not second.network.links[first.me.key].we_dialled
        for first, second in itertools.combinations(nodes, 2)
    )


async def test_a_second_link_by_the_greater_node_id_is_refused_and_the_first_stays(net: Loopback) -> None:
    smaller, greater = await net.pair()
    first = smaller.network.links[greater.me.key]
    task = greater.spawn(greater.network.wait_until_needed(smaller.address))
    await net.news.until(task.done)  # it does not know yet who is there
    greater.dial(smaller.address)
    await net.news.until(lambda: "duplicate" in smaller.refusals())
    exchange(smaller, greater)
    await net.news.until(lambda: arrived(smaller) and arrived(greater))
    assert smaller.network.links[greater.me.key] is first
    assert len(smaller.all(LinkUp)) == len(greater.all(LinkUp)) == 1
    assert not smaller.all(LinkDown) + greater.all(LinkDown)


async def test_a_second_link_by_the_smaller_node_id_takes_over_without_a_gap(net: Loopback) -> None:
    greater, smaller = await net.node(2), await net.node(1)
    greater.dial(smaller.address)
    await net.connected(greater, smaller)
    smaller.dial(greater.address)
    await net.news.until(lambda: len(greater.all(LinkUp)) == len(smaller.all(LinkUp)) == 2)
    exchange(smaller, greater)
    await net.news.until(lambda: arrived(smaller) and arrived(greater))
    assert smaller.network.links[greater.me.key].we_dialled
    assert not greater.network.links[smaller.me.key].we_dialled
    assert not smaller.all(LinkDown) + greater.all(LinkDown)


@pytest.mark.parametrize("layout", [SMALL, LARGE], ids=["small", "several MiB"])
async def test_masks_arrive_bit_for_bit_both_ways_at_once(net: Loopback, layout: MaskLayout) -> None:
    first, second = await net.pair(layout)
    exchange(first, second, layout, round_number=4)
    await net.news.until(lambda: arrived(first) and arrived(second))
    assert first.all(MaskArrived) == [MaskArrived(second.me, message(layout, 2, 4))]
    assert second.all(MaskArrived) == [MaskArrived(first.me, message(layout, 1, 4))]


async def test_many_masks_one_after_the_other_arrive_in_their_order(net: Loopback) -> None:
    first, second = await net.pair()
    for number in range(50):
        first.network.send(second.me.key, message(SMALL, number, number))
        await net.news.until(lambda expected=number + 1: len(arrived(second)) == expected)  # type: ignore[misc]
    assert [report.message for report in second.all(MaskArrived)] == [message(SMALL, n, n) for n in range(50)]


async def test_the_newest_mask_replaces_those_that_wait(net: Loopback) -> None:
    first, second = await net.pair()
    for number in range(20):  # no await: the link has no chance to send in between
        first.network.send(second.me.key, message(SMALL, number, number))
    first.network.leave("done")
    await net.news.until(lambda: second.all(LinkDown))
    assert arrived(second) == [19]


async def test_a_mask_under_way_is_finished_before_the_newest_follows(net: Loopback) -> None:
    first, second = await net.pair(LARGE)
    link = first.network.links[second.me.key]
    first.network.send(second.me.key, message(LARGE, 0, 0))
    await soon(lambda: link.traffic.sent.payload_bits)
    for number in (1, 2, 3):
        first.network.send(second.me.key, message(LARGE, number, number))
    await net.news.until(lambda: 3 in arrived(second))
    assert arrived(second) == [0, 3]
    assert second.all(MaskArrived)[1].message == message(LARGE, 3, 3)


async def test_a_mask_for_a_disconnected_node_is_dropped(net: Loopback) -> None:
    first, second = await net.pair()
    first.network.send("somebody", message(SMALL, 1))
    exchange(first, second)
    await net.news.until(lambda: arrived(second))
    assert len(arrived(second)) == 1


async def test_a_node_that_starts_later_is_found(net: Loopback) -> None:
    first, placeholder = await net.node(1), await net.node(2)
    await placeholder.stop()
    first.dial(placeholder.address)
    await net.news.until(lambda: first.all(DialFailed))
    second = await net.start(placeholder.restarted())
    await net.connected(first, second)
    assert not first.all(PeerRefused)


@pytest.mark.parametrize("who_dies", ["the one who dialled", "the one who answered"])
async def test_a_dead_neighbour_is_noticed_and_found_again_when_it_returns(net: Loopback, who_dies: str) -> None:
    dialled, answered = await net.pair()
    dead, alive = (dialled, answered) if who_dies == "the one who dialled" else (answered, dialled)
    await dead.stop()
    await net.news.until(lambda: alive.all(LinkDown))
    assert alive.all(LinkDown)[0].neighbour == dead.me
    assert alive.all(LinkDown)[0].explanation in {"the connection was lost", "it closed the connection"}
    assert not alive.network.links
    restarted = await net.start(dead.restarted())
    if dead is dialled:
        restarted.dial(answered.address)
    await net.connected(alive, restarted)
    exchange(alive, restarted)
    await net.news.until(lambda: arrived(alive) and arrived(restarted))
    assert [report.neighbour for report in alive.all(LinkUp)] == [dead.me, restarted.me]


async def test_a_restarted_neighbour_replaces_its_old_link_before_that_is_known_to_be_dead(net: Loopback) -> None:
    former, other = await net.pair()
    restarted = await net.start(former.restarted(elsewhere=True))
    restarted.dial(other.address)
    await net.news.until(lambda: len(other.all(LinkUp)) == 2)
    await net.connected(other, restarted)
    assert other.network.links[restarted.me.key].neighbour.incarnation == restarted.me.incarnation


@pytest.mark.parametrize("who_leaves", ["the one who dialled", "the one who answered"])
@pytest.mark.parametrize("layout", [SMALL, LARGE], ids=["small", "several MiB"])
async def test_a_leaving_node_sends_what_waits_and_the_reason(
    net: Loopback, who_leaves: str, layout: MaskLayout
) -> None:
    dialled, answered = await net.pair(layout)
    leaving, left = (dialled, answered) if who_leaves == "the one who dialled" else (answered, dialled)
    leaving.network.send(left.me.key, message(layout, 5, 9))
    leaving.network.leave("it finished its rounds")
    async with asyncio.timeout(5):
        await leaving.network.wait_until_no_links()
    await net.news.until(lambda: left.all(LinkDown))
    assert left.all(MaskArrived) == [MaskArrived(leaving.me, message(layout, 5, 9))]
    assert left.all(LinkDown) == [LinkDown(leaving.me, "refused: it finished its rounds")]
    assert leaving.all(LinkDown) == [LinkDown(left.me, "this node left")]


async def test_a_leaving_node_accepts_and_dials_no_link(net: Loopback) -> None:
    leaving, one, newcomer = await net.node(1), await net.node(2), await net.node(3)
    leaving.network.leave("it is stopping")
    leaving.dial(one.address)
    newcomer.dial(leaving.address)
    await net.news.until(newcomer.refusals)
    assert newcomer.all(PeerRefused)[0] == PeerRefused(leaving.address, "peer_leaving", "refused: it is stopping")
    assert set(leaving.refusals()) == {"leaving"}
    assert not leaving.all(LinkUp) + newcomer.all(LinkUp) + one.all(LinkUp)


class Noticing(random.Random):
    """Jitter that tells when a dialler takes a pause."""

    def __init__(self, net: Loopback) -> None:
        super().__init__(1)
        self.asked = 0
        self._news = net.news

    def uniform(self, a: float, b: float) -> float:
        """Note that a pause begins."""
        self.asked += 1
        self._news.spread()
        return super().uniform(a, b)


async def test_leaving_while_a_dialled_peer_is_saying_hello_opens_no_link(net: Loopback) -> None:
    leaving, other = await net.node(1), await net.node(2)
    asked: list[int] = []

    def leave_when_asked_for_the_round() -> int:
        asked.append(1)
        leaving.network.leave("it is stopping")
        return 0

    other.network._round_now = leave_when_asked_for_the_round  # it answers the other's hello only now
    jitter = Noticing(net)
    leaving.tasks.append(leaving.spawn(keep_dialing(leaving.network, other.address, jitter)))
    await net.news.until(lambda: jitter.asked)  # that conversation is over, and what it was worth saying is reported
    assert asked == [1]
    assert not leaving.all(LinkUp)
    assert not leaving.refusals()


@pytest.mark.parametrize(
    ("stranger", "reason", "words"),
    [
        (replace(node_info(2), run_id="barn"), "run", "'barn'"),
        (replace(node_info(2), model=replace(node_info(2).model, fingerprint=b"x" * 16)), "model", "release"),
        (node_info(2, LARGE), "model", f"{LARGE.size:,}"),
    ],
    ids=["run", "weights", "layout"],
)
async def test_nodes_that_do_not_match_refuse_each_other_and_both_report_what_differs(
    net: Loopback, stranger: NodeInfo, reason: str, words: str
) -> None:
    first, second = await net.node(1), await net.node(2, me=stranger)
    second.dial(first.address)
    await net.news.until(lambda: first.refusals() and second.refusals())
    assert first.all(PeerRefused)[0].reason == reason
    assert words in first.all(PeerRefused)[0].explanation
    assert second.all(PeerRefused)[0].address == first.address
    assert second.all(PeerRefused)[0].reason == f"peer_{reason}"
    assert words in second.all(PeerRefused)[0].explanation
    assert not first.network.links
    assert not second.network.links
    assert not first.all(LinkUp) + second.all(LinkUp)


async def test_a_node_that_dials_itself_reports_so(net: Loopback) -> None:
    one = await net.node(1)
    one.dial(one.address)
    await net.news.until(lambda: len(one.refusals()) >= 2)
    assert set(one.refusals()) == {"self", "peer_self"}
    assert not one.all(LinkUp)


async def test_beyond_the_most_links_a_new_peer_is_refused_and_a_neighbour_may_reconnect(
    net: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_module, "MAX_LINKS", 1)
    first, second = await net.pair()
    newcomer, restarted = await net.node(3), await net.start(first.restarted(elsewhere=True))
    newcomer.dial(second.address)
    await net.news.until(newcomer.refusals)
    assert newcomer.refusals()[0] == "peer_full"
    restarted.dial(second.address)
    await net.connected(second, restarted)
    assert list(second.network.links) == [first.me.key]


async def test_peers_beyond_the_bound_share_one_account(net: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "MAX_ACCOUNTS", 1)
    hub = await net.node(1)
    nodes = [await net.node(number) for number in (2, 3, 4)]
    for node in nodes:
        node.dial(hub.address)
        await net.connected(hub, node)
    assert list(hub.network.traffic) == [nodes[0].me.key, network_module.OTHERS]


@pytest.mark.parametrize("layout", [SMALL, LARGE], ids=["small", "several MiB"])
async def test_both_sides_count_the_same_traffic(net: Loopback, layout: MaskLayout) -> None:
    first, second = await net.pair(layout)
    for number in range(3):
        first.network.send(second.me.key, message(layout, number, number))
        await net.news.until(lambda expected=number + 1: len(arrived(second)) == expected)  # type: ignore[misc]
    second.network.send(first.me.key, message(layout, 9))
    await net.news.until(lambda: arrived(first))
    await soon(lambda: second.network.traffic[first.me.key].sent.masks)
    first.network.leave("done")
    await net.news.until(lambda: first.all(LinkDown) and second.all(LinkDown))
    from_one, to_one = first.network.traffic[second.me.key].sent, first.network.traffic[second.me.key].received
    at_other = second.network.traffic[first.me.key]
    assert from_one.masks == at_other.received.masks == 3
    assert to_one.masks == at_other.sent.masks == 1
    assert from_one.payload_bits == at_other.received.payload_bits == 3 * 8 * layout.byte_size
    assert to_one.payload_bits == at_other.sent.payload_bits == 8 * layout.byte_size
    assert from_one.mask_bytes == at_other.received.mask_bytes > 3 * layout.byte_size
    assert to_one.mask_bytes == at_other.sent.mask_bytes > layout.byte_size
    assert from_one.control_bytes == at_other.received.control_bytes > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what a connection cost")
async def test_the_kernel_counts_at_least_what_was_framed(net: Loopback) -> None:
    first, second = await net.pair(LARGE)
    exchange(first, second, LARGE)
    await net.news.until(lambda: arrived(first) and arrived(second))
    for node, neighbour in ((first, second), (second, first)):
        node.network.measure_traffic()
        traffic = node.network.traffic[neighbour.me.key]
        assert traffic.received.link_bytes >= traffic.received.mask_bytes > LARGE.byte_size
        assert traffic.sent.link_bytes > LARGE.byte_size
        assert traffic.received.link_bytes < 1.5 * LARGE.byte_size
        assert traffic.received.wire_bytes == traffic.received.link_bytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what a connection cost")
async def test_what_closed_links_cost_stays_counted(net: Loopback) -> None:
    smaller, greater = await net.node(1, LARGE), await net.node(2, LARGE)
    greater.dial(smaller.address)
    await net.connected(greater, smaller)
    exchange(smaller, greater, LARGE)
    await net.news.until(lambda: arrived(smaller) and arrived(greater))
    smaller.dial(greater.address)  # takes over
    await net.news.until(lambda: len(greater.all(LinkUp)) == len(smaller.all(LinkUp)) == 2)
    for node, neighbour in ((smaller, greater), (greater, smaller)):
        flow = node.network.traffic[neighbour.me.key].received
        assert flow.link_bytes >= flow.mask_bytes > LARGE.byte_size


async def test_a_lost_link_is_no_failed_dial_and_honest_nodes_make_grpc_log_no_error(
    net: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await net.pair()
    exchange(first, second)
    await net.news.until(lambda: arrived(first) and arrived(second))
    await second.stop()
    await net.news.until(lambda: first.all(DialFailed))
    assert first.all(LinkDown) == [LinkDown(second.me, "the connection was lost")]
    assert first.all(DialFailed)[0].explanation.startswith("no connection within")
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR and r.name.startswith("grpc")]


async def test_after_many_restarts_all_nodes_are_connected(net: Loopback) -> None:
    chance = random.Random(4)
    nodes = [await net.node(number) for number in (1, 2, 3)]
    for first, second in itertools.permutations(nodes, 2):
        first.dial(second.address)
    await net.connected(*nodes)
    for _ in range(6):
        index = chance.randrange(3)
        await nodes[index].stop()
        nodes[index] = await net.start(nodes[index].restarted())
        for second in nodes[:index] + nodes[index + 1 :]:
            nodes[index].dial(second.address)
        await net.connected(*nodes)
    await net.news.until(lambda: agreed(nodes))
    assert not [task for node in nodes for task in node.tasks if task.done()]


async def test_an_interval_request_reaches_the_neighbour(net: Loopback) -> None:
    first, second = await net.pair()
    first.network.send(second.me.key, IntervalRequest(90))
    first.network.send(second.me.key, IntervalRequest(0))
    await net.news.until(lambda: len(second.all(IntervalRequested)) == 2)
    assert second.all(IntervalRequested) == [
        IntervalRequested(first.me, IntervalRequest(90)),
        IntervalRequested(first.me, IntervalRequest(0)),
    ]
    assert first.network.traffic[second.me.key].sent.control_bytes > 0
