"""The round machine, tested as raft tests itself: a list of nodes, a list of messages in flight, any order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from bitarray import bitarray, frozenbitarray
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dslnode.protocol import events, round_machine
from dslnode.protocol.events import Phase
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import Exchange, ExchangeState, MaskKind, MaskMessage, ReplicaStep, Unchanged, step_of
from dslnode.protocol.round_machine import RoundMachine

LAYOUT = MaskLayout((MaskLayer("only", (4, 8)),))


def mask_of(number: int) -> Mask:
    """Return a mask that says who made it, and in which round."""
    bits = bitarray(endian="little")
    bits.frombytes(number.to_bytes(4, "little"))
    return Mask(LAYOUT, frozenbitarray(bits))


def message(number: int, kind: MaskKind = MaskKind.KEEP) -> MaskMessage:
    return MaskMessage(number, kind, mask_of(number))


def started(limit: int = 0, peers: tuple[str, ...] = (), max_staleness: int = 10) -> RoundMachine:
    machine = RoundMachine(limit=limit, max_staleness=max_staleness)
    machine.handle(events.Started())
    for peer in peers:
        machine.handle(events.PeerUp(peer, 0))
    return machine


def test_a_node_without_neighbours_goes_through_its_rounds_alone() -> None:
    machine = RoundMachine(limit=2)
    assert machine.handle(events.Started()) == [events.Train(0)]
    assert machine.handle(events.Trained(mask_of(0))) == [events.SetDeadline(0), events.Aggregate(0, ())]
    assert machine.handle(events.Aggregated()) == [events.Save(1), events.Train(1)]
    machine.handle(events.Trained(mask_of(1)))
    assert machine.handle(events.Aggregated()) == [events.Save(2), events.Finish()]
    assert machine.phase is Phase.FINISHED


def test_a_node_restarted_after_its_last_round_finishes_at_once() -> None:
    assert RoundMachine(limit=3, round=3).handle(events.Started()) == [events.Finish()]


def test_a_round_waits_for_every_connected_neighbour() -> None:
    machine = started(peers=("a", "b"))
    commands = machine.handle(events.Trained(mask_of(0)))
    own_mask = message(0)
    assert commands == [events.SendMask("a", own_mask), events.SendMask("b", own_mask), events.SetDeadline(0)]
    assert machine.handle(events.Received("a", message(0))) == []
    assert machine.awaited() == ["b"]
    [aggregate] = machine.handle(events.Received("b", message(0)))
    assert isinstance(aggregate, events.Aggregate)
    assert [masks.peer for masks in aggregate.neighbours] == ["a", "b"]


def test_masks_that_come_before_our_own_training_ends_count() -> None:
    machine = started(peers=("a",))
    assert machine.handle(events.Received("a", message(0))) == []
    assert events.Aggregate(0, (events.NeighbourMasks("a", mask_of(0), (), 0),)) in machine.handle(
        events.Trained(mask_of(0))
    )


def test_the_deadline_closes_the_round_and_the_silent_neighbour_is_not_waited_for_again() -> None:
    machine = started(peers=("slow",))
    machine.handle(events.Trained(mask_of(0)))
    assert machine.handle(events.DeadlinePassed(0)) == [events.Aggregate(0, ())]
    machine.handle(events.Aggregated())
    assert events.Aggregate(1, ()) in machine.handle(events.Trained(mask_of(1)))


def test_a_slow_neighbours_mask_is_used_and_it_is_waited_for_again() -> None:
    machine = started(peers=("slow",))
    for number in range(3):
        machine.handle(events.Trained(mask_of(number)))
        machine.handle(events.DeadlinePassed(number))
        machine.handle(events.Aggregated())
    machine.handle(events.Received("slow", message(0)))
    assert events.Aggregate(3, (events.NeighbourMasks("slow", mask_of(0), (), 0),)) in machine.handle(
        events.Trained(mask_of(3))
    )
    machine.handle(events.Aggregated())
    machine.handle(events.Trained(mask_of(4)))
    assert machine.awaited() == ["slow"]


def test_with_a_lead_to_keep_a_silent_neighbour_is_waited_for_again_but_holds_no_round_for_ever() -> None:
    machine = RoundMachine(max_lead=2)
    machine.handle(events.Started())
    machine.handle(events.PeerUp("slow", 0))
    machine.handle(events.Received("slow", message(0)))
    awaited = []
    for number in range(6):
        machine.handle(events.Trained(mask_of(number)))
        awaited.append((machine.awaited(), machine.leads_too_far()))
        if awaited[-1][0]:
            [aggregate] = machine.handle(events.DeadlinePassed(number))
            assert isinstance(aggregate, events.Aggregate)
        machine.handle(events.Aggregated())
    late, silent = (["slow"], False), (list[str](), False)
    assert awaited == [silent, late, silent, *[(["slow"], True)] * 3]
    machine.handle(events.Trained(mask_of(6)))
    assert machine.handle(events.Received("slow", message(1))), "its message ends the wait"
    assert not machine.leads_too_far()
    machine.handle(events.Aggregated())
    machine.handle(events.Trained(mask_of(7)))
    machine.handle(events.PeerDown("slow"))
    assert machine.phase is Phase.AGGREGATING


def test_an_old_deadline_changes_nothing() -> None:
    machine = started(peers=("a",))
    machine.handle(events.Trained(mask_of(0)))
    machine.handle(events.Received("a", message(0)))
    machine.handle(events.Aggregated())
    machine.handle(events.Trained(mask_of(1)))
    assert machine.handle(events.DeadlinePassed(0)) == []
    assert machine.phase is Phase.EXCHANGING


def test_duplicates_and_older_masks_change_nothing() -> None:
    machine = started(peers=("a", "b"))
    machine.handle(events.Received("a", message(1)))
    before = machine.neighbours["a"].newest_mask
    assert machine.handle(events.Received("a", message(1))) == []
    assert machine.handle(events.Received("a", message(0))) == []
    assert machine.neighbours["a"].newest_mask is before


def test_a_lost_neighbour_does_not_stop_the_round() -> None:
    machine = started(peers=("a", "b"))
    machine.handle(events.Trained(mask_of(0)))
    machine.handle(events.Received("a", message(0)))
    [aggregate] = machine.handle(events.PeerDown("b"))
    assert isinstance(aggregate, events.Aggregate)


def test_a_lost_neighbours_mask_is_used_until_it_is_stale() -> None:
    machine = started(peers=("a",), max_staleness=1)
    machine.handle(events.Received("a", message(0)))
    machine.handle(events.PeerDown("a"))
    used = []
    for number in range(3):
        commands = machine.handle(events.Trained(mask_of(number)))
        used += [len(command.neighbours) for command in commands if isinstance(command, events.Aggregate)]
        machine.handle(events.Aggregated())
    assert used == [1, 1, 0]
    assert machine.neighbours == {}


def test_a_neighbour_that_joins_late_gets_our_mask_and_is_waited_for_in_its_own_counting() -> None:
    machine = started()
    for number in range(5):
        machine.handle(events.Trained(mask_of(number)))
        machine.handle(events.Aggregated())
    assert machine.handle(events.PeerUp("new", 0)) == [events.SendMask("new", message(4))]
    machine.handle(events.Trained(mask_of(5)))
    assert machine.awaited() == ["new"]
    assert machine.handle(events.Received("new", message(0))) != []


def test_an_older_mask_sent_when_the_link_comes_up_is_used_but_not_taken_for_this_rounds() -> None:
    machine = started()
    machine.handle(events.PeerUp("training", 7))
    machine.handle(events.Received("training", message(6)))
    machine.handle(events.Trained(mask_of(0)))
    assert machine.awaited() == ["training"]
    assert machine.handle(events.Received("training", message(7))) == [
        events.Aggregate(0, (events.NeighbourMasks("training", mask_of(7), (), 0),))
    ]


def test_masks_of_a_neighbour_that_lost_its_state_are_taken_again() -> None:
    machine = started(peers=("a",))
    machine.handle(events.Received("a", message(1)))
    machine.handle(events.PeerDown("a"))
    machine.handle(events.PeerUp("a", 0))
    machine.handle(events.Received("a", message(0)))
    assert machine.neighbours["a"].newest_mask == mask_of(0)


def test_a_round_from_the_far_future_is_refused() -> None:
    machine = started(peers=("a",))
    [refusal] = machine.handle(events.Received("a", message(round_machine.MAX_ROUND_LEAD + 1)))
    assert isinstance(refusal, events.Refuse)
    assert (refusal.peer, refusal.reason) == ("a", "far_future")
    assert machine.neighbours["a"].newest_mask is None


def test_a_mask_of_another_kind_is_refused() -> None:
    machine = started(peers=("a",))
    [refusal] = machine.handle(events.Received("a", message(0, MaskKind.SIGN)))
    assert isinstance(refusal, events.Refuse)
    assert refusal.reason == "mask_kind"


def test_masks_of_strangers_are_ignored() -> None:
    machine = started()
    assert machine.handle(events.Received("nobody", message(0))) == []
    assert machine.neighbours == {}


@dataclass
class SimulatedNode:
    """A round machine with the work it was told to do and has not reported yet."""

    machine: RoundMachine
    training: int | None = None
    aggregating: bool = False
    deadline: int | None = None
    aggregations: list[events.Aggregate] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)


@dataclass
class Cluster:
    """Nodes, links and messages in flight. Masks are numbered ``node * 1000 + round``, so that any mix-up shows."""

    nodes: list[SimulatedNode]
    links: set[tuple[int, int]] = field(default_factory=set)
    in_flight: list[tuple[int, int, MaskMessage]] = field(default_factory=list)

    def feed(self, index: int, event: events.Event) -> None:
        for command in self.nodes[index].machine.handle(event):
            self.execute(index, command)

    def execute(self, index: int, command: events.Command) -> None:
        node = self.nodes[index]
        match command:
            case events.Train(number):
                node.training = number
            case events.SendMask(peer, sent):
                assert (index, int(peer)) in self.links, "sent to a neighbour that is not connected"
                self.in_flight.append((index, int(peer), sent))
            case events.SetDeadline(number):
                node.deadline = number
            case events.Aggregate():
                node.aggregating = True
                node.aggregations.append(command)
            case events.Save(number):
                node.saved.append(number)
            case events.Refuse():
                raise AssertionError(f"an honest mask was refused: {command}")
            case events.Finish():
                pass

    def connect(self, first: int, second: int) -> None:
        if (first, second) not in self.links:
            first_round, second_round = self.nodes[first].machine.round, self.nodes[second].machine.round
            self.links |= {(first, second), (second, first)}
            self.feed(first, events.PeerUp(str(second), second_round))
            self.feed(second, events.PeerUp(str(first), first_round))

    def disconnect(self, first: int, second: int) -> None:
        if (first, second) in self.links:
            self.links -= {(first, second), (second, first)}
            self.in_flight = [item for item in self.in_flight if {item[0], item[1]} != {first, second}]
            self.feed(first, events.PeerDown(str(second)))
            self.feed(second, events.PeerDown(str(first)))

    def finish_training(self, index: int) -> None:
        node = self.nodes[index]
        if node.training is not None:
            number, node.training = node.training, None
            self.feed(index, events.Trained(mask_of(index * 1000 + number)))

    def finish_aggregating(self, index: int) -> None:
        if self.nodes[index].aggregating:
            self.nodes[index].aggregating = False
            self.feed(index, events.Aggregated())

    def deliver(self, position: int) -> None:
        sender, receiver, sent = self.in_flight.pop(position)
        self.feed(receiver, events.Received(str(sender), sent))

    def settle(self, target: int) -> None:
        """Do all work and deliver all messages, without any deadline, until every node has reached ``target``."""
        for _ in range(100_000):
            if all(node.machine.round >= target for node in self.nodes):
                return
            for index in range(len(self.nodes)):
                self.finish_training(index)
                self.finish_aggregating(index)
            while self.in_flight:
                self.deliver(0)
        raise AssertionError(f"stuck at rounds {[node.machine.round for node in self.nodes]}")


def cluster_of(count: int, limit: int = 0) -> Cluster:
    cluster = Cluster([SimulatedNode(RoundMachine(limit=limit)) for _ in range(count)])
    for index in range(count):
        cluster.feed(index, events.Started())
    return cluster


def test_connected_nodes_stay_in_the_same_round_and_use_every_neighbours_mask_of_it() -> None:
    cluster = cluster_of(4)
    for pair in itertools.combinations(range(4), 2):
        cluster.connect(*pair)
    cluster.settle(6)
    for index, node in enumerate(cluster.nodes):
        for aggregate in node.aggregations[:6]:
            used = {masks.peer: masks.mask for masks in aggregate.neighbours}
            assert used == {str(o): mask_of(o * 1000 + aggregate.round) for o in range(4) if o != index}


class RoundsUnderFaults(RuleBasedStateMachine):
    """Any order of work, deliveries, losses, repetitions, partitions and deadlines; replayed by hypothesis' seed."""

    @initialize(count=st.integers(2, 4))
    def begin(self, count: int) -> None:
        self.cluster = cluster_of(count)
        self.rounds_before = [0] * count

    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        self.cluster.connect(*self._pair(data))

    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        self.cluster.disconnect(*self._pair(data))

    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        index = self._node(data)
        self.cluster.finish_training(index)
        self.cluster.finish_aggregating(index)

    @precondition(lambda self: self.cluster.in_flight)
    @rule(data=st.data(), twice=st.booleans())
    def deliver(self, data: st.DataObject, twice: bool) -> None:
        position = data.draw(st.integers(0, len(self.cluster.in_flight) - 1))
        if twice:
            self.cluster.in_flight.append(self.cluster.in_flight[position])
        self.cluster.deliver(position)

    @precondition(lambda self: self.cluster.in_flight)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.cluster.in_flight.pop(data.draw(st.integers(0, len(self.cluster.in_flight) - 1)))

    @rule(data=st.data())
    def deadline(self, data: st.DataObject) -> None:
        index = self._node(data)
        deadline = self.cluster.nodes[index].deadline
        if deadline is not None:
            self.cluster.feed(index, events.DeadlinePassed(deadline))

    @invariant()
    def rounds_never_go_back_and_are_saved_one_by_one(self) -> None:
        for index, node in enumerate(self.cluster.nodes):
            assert node.machine.round >= self.rounds_before[index]
            assert node.saved == list(range(1, node.machine.round + 1))
            self.rounds_before[index] = node.machine.round

    @invariant()
    def aggregations_use_only_masks_that_the_named_neighbour_made(self) -> None:
        for index, node in enumerate(self.cluster.nodes):
            for aggregate in node.aggregations:
                for masks in aggregate.neighbours:
                    assert masks.mask is not None
                    maker = int.from_bytes(masks.mask.to_bytes(), "little") // 1000
                    assert maker == int(masks.peer) != index
                    assert 0 <= masks.staleness <= node.machine.max_staleness

    @invariant()
    def every_node_has_exactly_one_thing_to_do_or_waits_for_somebody_connected(self) -> None:
        for index, node in enumerate(self.cluster.nodes):
            awaited = node.machine.awaited() if node.machine.phase is Phase.EXCHANGING else []
            assert [node.training is not None, node.aggregating, bool(awaited)].count(True) == 1
            assert all((index, int(peer)) in self.cluster.links for peer in awaited)

    def teardown(self) -> None:
        """After any history, healing the network lets everybody go on, if lost masks' deadlines pass."""
        count = len(self.cluster.nodes)
        for pair in itertools.combinations(range(count), 2):
            self.cluster.disconnect(*pair)
            self.cluster.connect(*pair)
        for node_index in range(count):
            deadline = self.cluster.nodes[node_index].deadline
            if deadline is not None:
                self.cluster.feed(node_index, events.DeadlinePassed(deadline))
        self.cluster.settle(max(node.machine.round for node in self.cluster.nodes) + 3)

    def _node(self, data: st.DataObject) -> int:
        return data.draw(st.integers(0, len(self.cluster.nodes) - 1))

    def _pair(self, data: st.DataObject) -> tuple[int, int]:
        first = self._node(data)
        second = data.draw(st.integers(0, len(self.cluster.nodes) - 2))
        return first, second + (second >= first)


RoundsUnderFaults.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestRoundsUnderFaults = RoundsUnderFaults.TestCase


def signing(exchange: Exchange, *peers: str) -> RoundMachine:
    machine = RoundMachine(exchange=exchange)
    for peer in peers:
        assert machine.handle(events.PeerUp(peer, 0)) == [events.OpenExchange(peer)]
    machine.handle(events.Started())
    return machine


def sign(number: int) -> MaskMessage:
    step = ReplicaStep(epoch=1, sequence=number + 1, acknowledged=0, scales=(0.1,), counts=(8,), checksum=bytes(8))
    return MaskMessage(number, MaskKind.SIGN, mask_of(number), step)


def test_sign_masks_are_made_for_all_connected_neighbours_and_close_the_round() -> None:
    machine = signing(Exchange.SIGN, "a", "b")
    machine.handle(events.PeerDown("b"))
    assert machine.handle(events.Trained(mask_of(0))) == [events.SendSignMasks(0, ("a",), None), events.SetDeadline(0)]
    masks = events.NeighbourMasks("a", None, (sign(0),), 0)
    assert machine.handle(events.Received("a", sign(0))) == [events.Aggregate(0, (masks,))]


def test_where_both_travel_the_keep_mask_closes_the_round() -> None:
    machine = signing(Exchange.BOTH, "a")
    assert machine.handle(events.Trained(mask_of(0))) == [
        events.SendSignMasks(0, ("a",), message(0)),
        events.SetDeadline(0),
    ]
    assert machine.handle(events.Received("a", sign(0))) == []
    masks = events.NeighbourMasks("a", mask_of(0), (sign(0),), 0)
    assert machine.handle(events.Received("a", message(0))) == [events.Aggregate(0, (masks,))]


def test_every_sign_mask_is_handed_on_once_and_in_order() -> None:
    machine = signing(Exchange.SIGN, "a")
    for number in range(3):
        machine.handle(events.Received("a", sign(number)))
    [*_, aggregate] = machine.handle(events.Trained(mask_of(0)))
    assert aggregate == events.Aggregate(0, (events.NeighbourMasks("a", None, (sign(0), sign(1), sign(2)), 0),))
    machine.handle(events.Aggregated({"a": mask_of(5)}))
    assert machine.neighbours["a"].newest_mask == mask_of(5), "what follows from the sign masks"
    machine.handle(events.Trained(mask_of(1)))
    assert machine.handle(events.DeadlinePassed(1)) in (
        [],
        [events.Aggregate(1, (events.NeighbourMasks("a", None, (), 1),))],
    )


def test_a_neighbour_that_floods_sign_masks_is_refused() -> None:
    machine = signing(Exchange.SIGN, "a")
    answers = [
        machine.handle(events.Received("a", sign(number))) for number in range(round_machine.MAX_PENDING_SIGNS + 1)
    ]
    assert not any(answers[:-1])
    [refusal] = answers[-1]
    assert isinstance(refusal, events.Refuse)
    assert refusal.reason == "too_many"


def test_a_link_that_breaks_often_while_a_node_is_paused_is_no_flood() -> None:
    """Nothing was applied yet, so the neighbour sends its window again each time."""
    machine = signing(Exchange.SIGN, "a")
    for _ in range(5):
        for number in range(4):
            assert machine.handle(events.Received("a", sign(number))) == []
        machine.handle(events.PeerDown("a"))
        machine.handle(events.PeerUp("a", 0))
    assert machine.neighbours["a"].pending_signs == [sign(number) for number in range(4)]


def test_sign_masks_of_earlier_epochs_are_dropped_after_a_reset() -> None:
    machine = signing(Exchange.SIGN, "a")
    after_reset = [
        replace(sign(number), step=replace(step_of(sign(number)), epoch=2))
        for number in range(round_machine.MAX_PENDING_SIGNS)
    ]
    for message in [sign(0), sign(1), *after_reset]:
        assert machine.handle(events.Received("a", message)) == []
    assert machine.neighbours["a"].pending_signs == after_reset


def test_a_neighbour_whose_round_is_unknown_or_whose_link_is_down_is_not_expected() -> None:
    machine = signing(Exchange.SIGN, "a", "b", "c")
    assert machine.expected() == ["a", "b", "c"]
    machine.handle(events.PeerDown("c"))
    machine.neighbours["b"].round_unknown = True
    assert machine.expected() == ["a"]


def test_an_opening_state_is_answered_with_this_rounds_masks_if_they_were_sent_already() -> None:
    machine = signing(Exchange.SIGN)
    state = ExchangeState(1, 0, bytes(8))
    machine.handle(events.PeerUp("late", 0))
    assert machine.handle(events.ExchangeStateReceived("late", state)) == [events.Resynchronize("late", state)]
    machine.handle(events.Trained(mask_of(0)))
    machine.handle(events.PeerUp("later", 4))
    answer = machine.handle(events.ExchangeStateReceived("later", state))
    assert answer == [events.Resynchronize("later", state), events.SendSignMasks(0, ("later",), None)]


def test_neighbours_that_are_gone_for_good_are_forgotten() -> None:
    machine = signing(Exchange.SIGN, "a")
    machine.handle(events.PeerDown("a"))
    machine.handle(events.Trained(mask_of(0)))
    assert machine.handle(events.Aggregated())[0] == events.ForgetPeers(("a",))


def test_a_keep_mask_that_arrives_during_aggregation_is_not_replaced_by_the_one_aggregated() -> None:
    machine = started(peers=("a",))
    machine.handle(events.Received("a", message(0)))
    machine.handle(events.Trained(mask_of(0)))
    machine.handle(events.Received("a", message(1)))
    machine.handle(events.Aggregated({"a": mask_of(0)}))
    [*_, aggregate] = machine.handle(events.Trained(mask_of(1)))
    assert aggregate == events.Aggregate(1, (events.NeighbourMasks("a", mask_of(1), (), 1),))


def test_a_sign_mask_from_the_far_future_is_dropped() -> None:
    machine = signing(Exchange.SIGN, "a")
    [refusal] = machine.handle(events.Received("a", sign(round_machine.MAX_ROUND_LEAD + 1)))
    assert isinstance(refusal, events.Refuse)
    assert refusal.reason == "far_future"
    assert machine.neighbours["a"].pending_signs == []


def test_a_skipped_neighbour_gets_nothing_and_one_that_uses_an_interval_is_not_waited_for() -> None:
    machine = started(peers=("a", "b"))
    commands = machine.handle(events.Trained(mask_of(0), frozenset({"a"}), frozenset({"a", "b"})))
    assert [command.peer for command in commands if isinstance(command, events.SendMask)] == ["b"]
    assert isinstance(commands[-1], events.Aggregate)


def test_a_neighbour_that_uses_an_interval_is_waited_for_again_from_its_first_mask_after_it() -> None:
    machine = started(peers=("a",))
    for number in range(3):
        machine.handle(events.Trained(mask_of(number), frozenset({"a"}), frozenset({"a"})))
        machine.handle(
            events.Received("a", message(round_machine.MAX_ROUND_LEAD * (number + 2)))
        )  # rounds are its own affair
        machine.handle(events.Aggregated())
    assert machine.neighbours["a"].newest_mask == message(round_machine.MAX_ROUND_LEAD * 4).mask
    machine.handle(events.Trained(mask_of(3)))
    assert machine.phase is Phase.AGGREGATING, "the interval lasts until its next mask"
    machine.handle(events.Aggregated())
    machine.handle(events.Received("a", message(round_machine.MAX_ROUND_LEAD * 9)))
    machine.handle(events.Trained(mask_of(4)))
    machine.handle(events.Aggregated())
    machine.handle(events.Trained(mask_of(5)))
    assert machine.awaited() == ["a"]


def test_a_neighbour_that_uses_an_interval_is_sent_no_mask_when_its_link_comes_up_again() -> None:
    machine = started(peers=("a", "b"))
    machine.handle(events.Trained(mask_of(0), frozenset({"a"}), frozenset({"a"})))
    machine.handle(events.PeerDown("a"))
    assert machine.handle(events.PeerUp("a", 0)) == []


def test_unchanged_completes_the_neighbour_and_its_mask_stays() -> None:
    machine = started(peers=("a",))
    machine.handle(events.Trained(mask_of(0)))
    machine.handle(events.Received("a", message(0)))
    machine.handle(events.Aggregated())
    machine.handle(events.Trained(mask_of(1)))
    assert machine.awaited() == ["a"]
    [aggregate] = machine.handle(events.Received("a", Unchanged(1)))
    assert aggregate == events.Aggregate(1, (events.NeighbourMasks("a", mask_of(0), (), 0),))


def test_unchanged_signs_acknowledge_and_the_keep_mask_is_awaited_where_both_travel() -> None:
    for exchange, waits in ((Exchange.SIGN, []), (Exchange.BOTH, ["a"])):
        machine = RoundMachine(exchange=exchange)
        machine.handle(events.Started())
        machine.handle(events.PeerUp("a", 0))
        machine.handle(events.Trained(mask_of(0)))
        commands = machine.handle(events.Received("a", Unchanged(0, epoch=2, acknowledged=7)))
        assert commands[0] == events.Resynchronize("a", ExchangeState(2, 7, b"", opening=False))
        assert machine.awaited() == waits


def test_after_a_pause_a_node_does_not_wait_for_neighbours_however_far_they_went_on() -> None:
    machine = started(peers=("a",))
    assert machine.handle(events.TrainingPaused()) == []
    assert machine.phase is Phase.WAITING
    assert machine.handle(events.Received("a", message(round_machine.MAX_ROUND_LEAD * 5))) == []
    machine.handle(events.TrainingPaused())
    machine.handle(events.TrainingPaused(resumed=True))
    assert str(machine.phase) == "training"
    assert machine.handle(events.Received("a", message(round_machine.MAX_ROUND_LEAD * 9))) == []
    machine.handle(events.Trained(mask_of(0)))
    assert str(machine.phase) == "aggregating"
    machine.handle(events.Aggregated())
    machine.handle(events.Trained(mask_of(1)))
    assert machine.awaited() == ["a"], "its round is known again"


def test_the_neighbours_of_a_paused_node_wait_for_it_once_at_most() -> None:
    machine = started(peers=("paused",))
    for number in range(3):
        machine.handle(events.Trained(mask_of(number)))
        assert machine.awaited() == (["paused"] if number == 0 else [])
        machine.handle(events.DeadlinePassed(number))
        machine.handle(events.Aggregated())
