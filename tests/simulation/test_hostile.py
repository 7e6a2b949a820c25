"""Hostile nodes: how many, which, and what they send in place of what they learned."""

from __future__ import annotations

import pytest
import torch

from dslnode.errors import SettingsError
from dslnode.protocol.messages import MaskMessage, step_of
from dslnode.simulation.hostile import (
    ATTACKS,
    DENSE_PART,
    LOUD,
    MASK_ATTACKS,
    HostileLearner,
    Hostility,
    hostile_nodes,
    parse_hostility,
)
from dslnode.simulation.simulation import Simulation
from tests.simulation.networks import finished, nodes_of, simulation


@pytest.fixture
def network() -> Simulation:
    return simulation(nodes=2, topology="complete", hostile="0.5:inverted")


def attacker(network: Simulation, kind: str) -> HostileLearner:
    """Return a hostile learner after its first local steps, with the attack of this kind."""
    learner = next(node.learner for node in nodes_of(network) if isinstance(node.learner, HostileLearner))
    learner.attack, learner.mask_attack = ATTACKS[kind], MASK_ATTACKS[kind]
    learner.train_round(0)
    return learner


def test_part_and_kind_are_read() -> None:
    assert parse_hostility("0.2:loud") == Hostility(0.2, "loud")
    assert parse_hostility("1:silent") == Hostility(1.0, "silent")


@pytest.mark.parametrize("text", ["", "0.2", "0.2:", "2:loud", "-0.1:loud", "nan:loud", "x:loud", "0.2:rude"])
def test_what_is_no_hostility_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"as 0\.2:inverted"):
        parse_hostility(text)


def test_a_larger_part_contains_the_smaller_ones() -> None:
    few, many = hostile_nodes(20, 0.2, 3), hostile_nodes(20, 0.5, 3)
    assert (len(few), len(many)) == (4, 10)
    assert set(few) < set(many) <= set(range(20))


@pytest.mark.parametrize(("kind", "factor"), [("inverted", -1.0), ("loud", -LOUD), ("dense", -1.0)])
def test_the_opposite_of_what_was_learned_is_sent(network: Simulation, kind: str, factor: float) -> None:
    learner = attacker(network, kind)
    sent = learner.attack(learner, 0) - learner.pretend(torch.zeros_like(learner.learned))
    assert torch.allclose(sent, factor * learner.learned, atol=1e-6)


def test_noise_is_another_every_round_and_as_far_as_what_was_learned(network: Simulation) -> None:
    learner = attacker(network, "random")
    first, second = (learner.attack(learner, number) for number in (0, 1))
    assert not torch.equal(first, second)
    distances = [(sent - learner.pretend(torch.zeros_like(sent))).square().mean().sqrt() for sent in (first, second)]
    usual = float(learner.learned.square().mean().sqrt())
    assert [float(distance) for distance in distances] == pytest.approx([usual, usual], rel=0.05)


def test_replayed_scores_stay_and_constant_ones_rise(network: Simulation) -> None:
    learner = attacker(network, "replayed")
    first = learner.attack(learner, 0)
    learner.train_round(1)
    assert learner.attack(learner, 1) is first
    constant = ATTACKS["constant"]
    assert (constant(learner, 1) > constant(learner, 0)).all()


def test_a_dense_node_claims_to_keep_more_than_it_does(network: Simulation) -> None:
    learner = attacker(network, "dense")
    peers = [node.key for node in nodes_of(network) if node.learner is not learner]
    other = next(node.learner for node in nodes_of(network) if node.learner is not learner)
    learner.resynchronize(peers[0], other.open_exchange("liar"))
    learner.make_steps(0, peers)
    [message] = learner.make_steps(1, peers).values()
    assert isinstance(message, MaskMessage)
    assert step_of(message).counts == tuple(round(DENSE_PART * layer.size) for layer in learner.layout.layers)


def test_every_kind_lies_with_sign_masks_and_with_keep_masks() -> None:
    assert set(MASK_ATTACKS) == set(ATTACKS)


@pytest.mark.parametrize("kind", ["random", "constant", "inverted", "loud"])
def test_a_lying_keep_mask_is_another_of_as_many_weights(network: Simulation, kind: str) -> None:
    learner = attacker(network, kind)
    sent = learner.sent_mask(0)
    assert sent.layer_counts() == learner.mask.layer_counts()
    assert sent.agreement(learner.mask) < 0.7


def test_an_inverted_keep_mask_has_nothing_of_the_nodes_own(network: Simulation) -> None:
    learner = attacker(network, "inverted")
    assert not (learner.sent_mask(0).bits & learner.mask.bits).any()


def test_random_keep_masks_change_every_round_and_constant_ones_never(network: Simulation) -> None:
    learner = attacker(network, "random")
    assert learner.sent_mask(0) != learner.sent_mask(1)
    learner = attacker(network, "constant")
    first = learner.sent_mask(0)
    learner.train_round(1)
    assert learner.sent_mask(1) == first
    count = first.layer_counts()[0]
    assert first.bits[:count].all()


def test_a_replayed_keep_mask_is_that_of_the_first_round(network: Simulation) -> None:
    learner = attacker(network, "replayed")
    first = learner.mask
    assert learner.sent_mask(0) == first
    learner.train_round(1)
    assert learner.mask != first
    assert learner.sent_mask(1) == first


def test_a_dense_keep_mask_keeps_nine_tenths(network: Simulation) -> None:
    learner = attacker(network, "dense")
    assert learner.sent_mask(0).layer_counts() == learner.counts_of(DENSE_PART)


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [
        *((kind, {"exchange": "keep"}) for kind in sorted(MASK_ATTACKS)),
        ("inverted", {"exchange": "both"}),
        ("inverted", {"method": "authors"}),
    ],
)
def test_receivers_of_keep_masks_get_the_lie_and_refuse_none(kind: str, chosen: dict[str, str]) -> None:
    ended = finished(nodes=2, topology="complete", hostile=f"0.5:{kind}", rounds=2, **chosen)
    honest, liar = sorted(nodes_of(ended), key=lambda node: node.board.hostile)
    assert ended.incidents is not None
    assert ended.incidents.refused == 0
    received = honest.machine.neighbours[liar.key].newest_mask
    assert liar.machine.own_mask is not None
    assert received == liar.machine.own_mask.mask != liar.learner.mask


def test_lying_keep_masks_change_what_honest_nodes_learn() -> None:
    def learned(**hostile: str) -> bytes:
        ended = finished(nodes=2, topology="complete", rounds=2, exchange="keep", **hostile)
        return nodes_of(ended)[honest].learner.mask.to_bytes()

    [liar] = hostile_nodes(2, 0.5, 1)
    honest = 1 - liar
    assert learned() != learned(hostile="0.5:inverted")
