"""Consensus on scores: two nodes' replicas stay equal to the bit, whatever is lost, repeated or restarted."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dslnode.learning.frozen_network import FrozenNetwork, frozen_weights, shared_layout
from dslnode.learning.initialization import draw_sharing, seeded_scores
from dslnode.learning.masking import keep_counts, layout_of
from dslnode.learning.options import RobustAggregation
from dslnode.learning.score_consensus import WINDOW, ScoreConsensus
from dslnode.protocol.messages import ExchangeState, MaskMessage, RoundMessage, Unchanged, step_of
from tests.scores import FIRST, LAYOUT, scores_of


def network(ratio: float = 0.3) -> FrozenNetwork:
    ratios = (ratio, ratio)
    weights = frozen_weights(LAYOUT, 1, ratios)
    return FrozenNetwork(nn.Identity(), LAYOUT, LAYOUT, None, weights, keep_counts(LAYOUT, ratios), torch.zeros(4))


class Pair:
    """Two nodes, which may have learned before they met, and what is on its way; a cut link loses it."""

    def __init__(self, learned: tuple[bool, bool] = (False, False)) -> None:
        self.nodes = [ScoreConsensus(network(), FIRST), ScoreConsensus(network(), FIRST)]
        for node, before in zip(self.nodes, learned, strict=True):
            node.has_learned = before
        self.scores = [scores_of(1), scores_of(2)]
        self.flying: list[deque[RoundMessage]] = [deque(), deque()]  # by receiver
        self.rounds = [0, 0]
        self.connect()

    def connect(self) -> None:
        for waiting in self.flying:
            waiting.clear()
        greetings = [self.nodes[0].open_exchange("1"), self.nodes[1].open_exchange("0")]
        for node in (0, 1):
            self.flying[1 - node].extend(self.nodes[node].resynchronize(str(1 - node), greetings[1 - node]))

    def send(self, node: int) -> bool:
        self.rounds[node] += 1
        made = self.nodes[node].make_steps(self.rounds[node], self.scores[node], (str(1 - node),))
        self.flying[1 - node].extend(made.values())
        return any(isinstance(message, MaskMessage) for message in made.values())

    def deliver(self, node: int) -> None:
        while self.flying[node]:
            message = self.flying[node].popleft()
            if isinstance(message, Unchanged):
                message = ExchangeState(message.epoch, message.acknowledged, b"", opening=False)
            if isinstance(message, ExchangeState):
                self.nodes[node].resynchronize(str(1 - node), message)
            else:
                self.nodes[node].apply_step(str(1 - node), message)

    def restart(self, node: int) -> None:
        self.nodes[node] = ScoreConsensus(network(), FIRST)
        self.connect()

    def swap(self) -> None:
        for node in (0, 1):
            self.send(node)
        for node in (0, 1):
            self.deliver(node)

    def in_step(self) -> bool:
        one, other = self.nodes[0]._peers["1"], self.nodes[1]._peers["0"]
        return torch.equal(one.outgoing.scores, other.incoming.scores) and torch.equal(
            one.incoming.scores, other.outgoing.scores
        )


def test_a_replica_comes_nearer_to_the_scores_with_every_step() -> None:
    pair = Pair()
    distances = []
    for _ in range(8):
        pair.swap()
        distances.append(float((pair.scores[1] - pair.nodes[0]._peers["1"].incoming.scores).norm()))
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.2 * float((pair.scores[1] - FIRST).norm())


def test_neighbours_whose_replicas_are_equal_get_the_same_mask() -> None:
    node = ScoreConsensus(network(), FIRST)
    for peer in "abc":
        node.resynchronize(peer, node.open_exchange(peer))
    made = list(node.make_steps(0, scores_of(1), "abc").values())
    masks = [message.mask for message in made if isinstance(message, MaskMessage)]
    assert len(masks) == 3
    assert masks[0] is masks[1] is masks[2]


def test_what_was_on_its_way_when_the_link_broke_is_sent_again() -> None:
    pair = Pair()
    pair.swap()
    pair.send(0)
    pair.connect()
    assert len(pair.flying[1]) == 1
    pair.deliver(1)
    assert pair.in_step()
    assert pair.nodes[0].resets == pair.nodes[1].resets == 0


def test_what_travels_on_a_link_that_took_over_is_sent_once() -> None:
    """Nodes that dial each other at once have two links for a moment, and greet on both."""
    node, other = ScoreConsensus(network(), FIRST), ScoreConsensus(network(), FIRST)
    for holder, name in ((node, "other"), (other, "node")):
        holder.open_exchange(name)
    early, late = other.open_exchange("node"), other.open_exchange("node")
    node.open_exchange("other")
    assert node.resynchronize("other", early) == []
    [step] = node.make_steps(0, scores_of(1), ("other",)).values()
    assert isinstance(step, MaskMessage)
    assert node.resynchronize("other", late) == [], "it is on its way on this link"
    assert node.make_steps(0, scores_of(1), ("other",)) == {}, "and it is this round's"
    assert node.make_steps(1, scores_of(1), ("other",)).keys() == {"other"}
    node.open_exchange("other")
    assert node.resynchronize("other", late)[0] is step, "another link took over before it arrived"


@pytest.mark.parametrize("node", [0, 1])
def test_after_a_restart_both_replicas_of_the_edge_begin_anew(node: int) -> None:
    pair = Pair()
    for _ in range(WINDOW + 3):
        pair.swap()
    pair.restart(node)
    assert pair.in_step()
    assert torch.equal(pair.nodes[0]._peers["1"].outgoing.scores, FIRST)
    pair.swap()
    assert pair.in_step()
    assert not torch.equal(pair.nodes[0]._peers["1"].outgoing.scores, FIRST)


def test_a_restart_pulls_nobody_back_to_the_start() -> None:
    pair = Pair()
    for _ in range(6):
        pair.swap()
    pair.restart(1)
    assert not pair.nodes[0].consensus_step(["1"], 0.5).any()


@pytest.mark.parametrize(("learned", "apart"), [((True, True), False), ((False, False), True)])
def test_an_edge_that_begins_late_does_not_part_nodes_that_agree(learned: tuple[bool, bool], *, apart: bool) -> None:
    """Crude steps of what took long to learn differ by more than what nodes disagree about."""
    pair = Pair(learned)
    pair.scores[1] = pair.scores[0] + 0.1 * (scores_of(9) - FIRST)
    before, widest = float((pair.scores[0] - pair.scores[1]).norm()), 0.0
    for _ in range(16):
        pair.swap()
        pulls = [node.consensus_step([str(1 - i)], 0.95) for i, node in enumerate(pair.nodes)]
        pair.scores = [score + pull for score, pull in zip(pair.scores, pulls, strict=True)]
        widest = max(widest, float((pair.scores[0] - pair.scores[1]).norm()))
    assert (widest > 2 * before) == apart
    assert float((pair.scores[0] - pair.scores[1]).norm()) < before


def test_a_newcomer_is_pulled_at_once_and_pulls_who_learned_before_once_it_is_close() -> None:
    pair = Pair(learned=(True, False))
    pulls = []
    for _ in range(8):
        pair.swap()
        pulls.append([bool(node.consensus_step([str(1 - i)], 1.0).any()) for i, node in enumerate(pair.nodes)])
    assert pulls[0] == [False, True]
    assert pulls[-1] == [True, True]
    assert pair.nodes[0].implied_mask("1") is not None


def test_a_neighbour_that_does_not_answer_is_sent_a_window_of_steps_and_no_more() -> None:
    pair = Pair()
    assert [pair.send(0) for _ in range(WINDOW + 2)] == [True] * WINDOW + [False] * 2


def test_a_damaged_step_makes_the_edge_begin_anew() -> None:
    pair = Pair()
    pair.send(0)
    message = pair.flying[1].popleft()
    assert isinstance(message, MaskMessage)
    assert message.step is not None
    pair.nodes[1].apply_step("0", replace(message, step=replace(message.step, checksum=bytes(8))))
    assert pair.nodes[1].resets == 1
    pair.swap()
    pair.swap()
    assert pair.in_step()


def test_a_neighbour_that_began_anew_and_has_no_step_to_send_is_followed() -> None:
    """Else it would hear nothing of the steps of the former epoch, and these would fill the window for ever."""
    pair = Pair()
    pair.send(0)
    message = pair.flying[1].popleft()
    assert isinstance(message, MaskMessage)
    pair.nodes[1].apply_step("0", replace(message, step=replace(step_of(message), checksum=bytes(8))))
    edge = pair.nodes[1]._peers["0"]
    pair.nodes[0].resynchronize("1", ExchangeState(edge.epoch, edge.incoming.acknowledged, b"", opening=False))
    assert pair.send(0)
    pair.deliver(1)
    assert pair.in_step()
    assert edge.incoming.acknowledged == 1


def test_pulling_moves_scores_by_the_mean_difference_of_replicas() -> None:
    pair = Pair()
    for _ in range(12):
        pair.swap()
    expected = 0.25 * (pair.scores[1] - pair.scores[0])
    assert float((pair.nodes[0].consensus_step(["1"], 0.5) - expected).abs().mean()) < 0.01


def test_a_mesh_whose_scores_hardly_move_falls_silent() -> None:
    """Steps move their receivers, who must not answer every one of them: three a node and round they once were."""
    mesh = Mesh(6, send_threshold=0.2)
    assert mesh.sent(10) > 0.5 * 10 * 6 * 5, "at first there is much to say"
    mesh.sent(30)
    assert mesh.sent(40) < 0.5 * 40 * 6


class Mesh:
    """Nodes that all exchange steps with each other, and whose scores drift a hundredth of their spread a round."""

    def __init__(self, count: int, send_threshold: float) -> None:
        self._names = [str(number) for number in range(count)]
        self._nodes = {name: ScoreConsensus(network(), FIRST, send_threshold) for name in self._names}
        self._scores = {name: scores_of(int(name)) for name in self._names}
        self._draws = torch.Generator().manual_seed(1)
        self._number = 0
        edges = list(itertools.permutations(self._names, 2))
        greetings = [self._nodes[other].open_exchange(name) for name, other in edges]
        for (name, other), greeting in zip(edges, greetings, strict=True):
            self._nodes[name].resynchronize(other, greeting)

    def sent(self, rounds: int) -> int:
        """Run some rounds; return the number of sign masks."""
        return sum(self._round() for _ in range(rounds))

    def _round(self) -> int:
        speakers: dict[str, list[str]] = {name: [] for name in self._names}
        self._number += 1
        for name, node in self._nodes.items():
            self._scores[name] = self._scores[name] + 0.001 * torch.randn(LAYOUT.size, generator=self._draws)
            others = [other for other in self._names if other != name]
            for other, turn in node.make_steps(self._number, self._scores[name], others).items():
                if isinstance(turn, MaskMessage):
                    self._nodes[other].apply_step(name, turn)
                    speakers[other].append(name)
                elif isinstance(turn, Unchanged):
                    self._nodes[other].resynchronize(
                        name, ExchangeState(turn.epoch, turn.acknowledged, b"", opening=False)
                    )
        for name, node in self._nodes.items():
            self._scores[name] = self._scores[name] + node.consensus_step(speakers[name], 0.8)
        return sum(map(len, speakers.values()))


def test_the_implied_mask_keeps_what_the_neighbour_keeps_count_of() -> None:
    pair = Pair()
    assert pair.nodes[0].implied_mask("1") is None
    pair.swap()
    mask = pair.nodes[0].implied_mask("1")
    assert mask is not None
    assert mask.layer_counts() == network().counts


def test_forgotten_neighbours_begin_anew() -> None:
    pair = Pair()
    pair.swap()
    pair.nodes[0].forget(["1", "never met"])
    pair.connect()
    pair.swap()
    assert pair.in_step()


ACTIONS = st.sampled_from(
    ["swap", "send 0", "send 1", "deliver 0", "deliver 1", "connect", "restart 0", "restart 1", "learn"]
)


@settings(deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_replicas_are_in_step_again_after_anything(actions: list[str]) -> None:
    pair = Pair()
    for number, action in enumerate(actions):
        name, _, node = action.partition(" ")
        if name == "learn":
            pair.scores = [scores_of(2 * number), scores_of(2 * number + 1)]
        elif node:
            getattr(pair, name)(int(node))
        else:
            getattr(pair, name)()
    for _ in range(3):
        pair.swap()
    assert pair.in_step()
    pair.scores = [scores_of(98), scores_of(99)]
    before = pair.nodes[0]._peers["1"].outgoing.scores
    pair.swap()
    assert pair.in_step()
    assert not torch.equal(before, pair.nodes[0]._peers["1"].outgoing.scores), "and steps go on"


def test_how_weights_follow_scores_is_the_same_everywhere() -> None:
    """A golden digest: boards of any architecture must agree on it."""
    layout = layout_of(nn.Sequential(nn.Linear(100, 200, bias=False), nn.Linear(200, 10, bias=False)))
    sharing = draw_sharing(layout, shared_layout(layout, 4), 7)
    assert sharing is not None
    drawn = sharing.signs.numpy().astype("<f4").tobytes() + sharing.seeded.numpy().astype("<f4").tobytes()
    assert hashlib.blake2b(drawn, digest_size=16).hexdigest() == "7124c1532730ec93eeb519fb2d0d382f"


@given(st.integers(2, 9), st.integers(0, 3))
def test_weights_that_share_a_score_move_together(per_score: int, seed: int) -> None:
    layout = layout_of(nn.Sequential(nn.Linear(300, 100, bias=False), nn.Linear(100, 4, bias=False)))
    shared = shared_layout(layout, per_score)
    sharing = draw_sharing(layout, shared, seed)
    assert sharing is not None
    wide = FrozenNetwork(nn.Identity(), layout, shared, sharing, torch.ones(layout.size), (1, 1), torch.zeros(4))
    assert torch.equal(wide.expand_scores(torch.zeros(shared.size)), seeded_scores(layout, seed))
    moved = wide.expand_scores(torch.ones(shared.size), torch.zeros(layout.size))
    assert torch.equal(moved, sharing.signs)
    numbers = wide.expand_scores(torch.arange(shared.size).float(), torch.zeros(layout.size)) * sharing.signs
    for (layer, span), own in zip(layout.spans(), shared.layers, strict=True):
        first = next(spread.start for of, spread in shared.spans() if of == own)
        assert torch.equal(numbers[span], (torch.arange(layer.size) % own.size + first).float())
    gradient, scores = torch.randn(layout.size), torch.randn(shared.size)
    ahead = float(wide.expand_scores(scores) @ gradient) - float(
        wide.expand_scores(torch.zeros(shared.size)) @ gradient
    )
    assert ahead == pytest.approx(float(scores @ wide.reduce_gradient(gradient)), rel=1e-3, abs=1e-2)


def test_a_neighbour_that_lacks_little_is_sent_no_step_but_an_acknowledgement() -> None:
    pair = Pair()
    pair.nodes = [ScoreConsensus(network(), FIRST, 0.5), ScoreConsensus(network(), FIRST, 0.5)]
    pair.connect()
    sent = []
    for _ in range(12):
        sent.append(pair.send(0))
        pair.send(1)
        pair.deliver(0)
        pair.deliver(1)
    assert sent[0]
    assert not sent[-1]
    assert pair.in_step()
    assert not pair.nodes[1]._peers["0"].outgoing.unacknowledged, "and no step waits for its acknowledgement"
    pair.scores = [scores_of(50), scores_of(51)]
    assert pair.send(0)


def test_a_hundred_neighbours_cost_one_replica_each_and_share_that_of_our_own_scores() -> None:
    node, names = ScoreConsensus(network(), FIRST), [f"{number}" for number in range(100)]
    others = {name: ScoreConsensus(network(), FIRST) for name in names}
    for name, other in others.items():
        ours, theirs = node.open_exchange(name), other.open_exchange("node")
        node.resynchronize(name, theirs)
        other.resynchronize("node", ours)
    for number in range(10):
        for name, turn in node.make_steps(number, scores_of(number), names).items():
            assert isinstance(turn, MaskMessage)
            others[name].apply_step("node", turn)
        for index, (name, other) in enumerate(others.items()):
            [turn] = other.make_steps(number, scores_of(1_000 * number + index), ("node",)).values()
            assert isinstance(turn, MaskMessage)
            node.apply_step(name, turn)
    held = [tensor for edge in node._peers.values() for tensor in (edge.outgoing.scores, edge.incoming.scores)]
    distinct = {tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in held}
    assert sum(distinct.values()) == (100 + 1) * 4 * LAYOUT.size
    masks = {id(message.mask) for edge in node._peers.values() for message in edge.outgoing.unacknowledged}
    assert len(masks) <= WINDOW, "what is on its way to all is kept once"


def among_liars(names: list[str], liars: str, lie: Tensor) -> ScoreConsensus:
    """Return a node that has heard of neighbours who learned much the same, and of liars."""
    node, learned = ScoreConsensus(network(), FIRST), scores_of(1) - FIRST
    for index, name in enumerate(names):
        other = ScoreConsensus(network(), FIRST)
        ours, theirs = node.open_exchange(name), other.open_exchange("node")
        node.resynchronize(name, theirs)
        other.resynchronize("node", ours)
        said = lie if name in liars else FIRST + learned + 0.5 * (scores_of(index + 2) - FIRST)
        [turn] = other.make_steps(0, said, ("node",)).values()
        assert isinstance(turn, MaskMessage)
        node.apply_step(name, turn)
    return node


def test_a_loud_liar_moves_the_scores_no_further_than_an_honest_neighbour() -> None:
    names = [f"{number}" for number in range(6)]
    node = among_liars(names, "5", FIRST - 100 * (scores_of(1) - FIRST))
    honest = node.consensus_step(names[:5], 1.0)
    assert float(node.consensus_step(names, 1.0).norm()) > 10 * float(honest.norm())
    guarded = node.consensus_step(names, 1.0, RobustAggregation.CLIPPED)
    assert float((guarded - honest).norm()) < 0.5 * float(honest.norm())


def test_liars_are_measured_by_honest_neighbours_that_had_nothing_to_send() -> None:
    names = [f"{number}" for number in range(7)]
    node = among_liars(names, "56", FIRST + 500)  # agreed with each other
    usual = float(node.consensus_step(names[:5], 1.0).norm())
    assert float(node.consensus_step(["5", "6"], 1.0).norm()) > 100 * usual
    guarded = node.consensus_step(["5", "6"], 1.0, RobustAggregation.CLIPPED)
    assert float(guarded.norm()) < usual
