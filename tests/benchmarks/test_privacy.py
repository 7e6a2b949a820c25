"""The membership benchmark: attacks on made-up models whose answers are known, and honest halves."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.accuracy.cases import Case, World, build_world
from benchmarks.accuracy.masks import MaskGossip
from benchmarks.privacy.__main__ import measure, rows_of
from benchmarks.privacy.attacks import area, by_likelihood_ratio, by_loss, confidence, hits
from benchmarks.privacy.candidates import halves
from benchmarks.privacy.views import EXPORTED, REPLICA, SENT, learned, views_of

DIGITS = Case("digits", "classes:4", 60, nodes=4, graph="complete", data="digits")


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(DIGITS, "mlp", 1)


class TestAttacks:
    def test_confidence_is_the_log_odds_of_the_true_class(self) -> None:
        logits = np.array([[2.0, 0.0, 1.0], [900.0, 0.0, -900.0]], np.float32)
        found = confidence(logits, np.array([0, 0]))
        assert found[0] == pytest.approx(2 - np.log(1 + np.e))
        assert found[1] == pytest.approx(900 - 0.0)

    def test_the_area_is_that_of_pairs_ranked_right_and_equal_scores_count_half(self) -> None:
        scores = np.array([3.0, 1.0, 1.0, 0.0])
        member = np.array([True, True, False, False])
        assert area(scores, member) == (1 + 1 + 0.5 + 1) / 4
        assert area(np.full(4, 7.0), member) == 0.5

    def test_hits_are_counted_above_what_so_many_strangers_reach(self) -> None:
        scores = np.concatenate([np.arange(100.0), [98.5, 99.5, 50.0]])
        member = np.arange(103) >= 100
        assert hits(scores, member) == pytest.approx(2 / 3), "one stranger of a hundred may be taken for a member"

    def test_the_ratio_finds_members_that_no_threshold_finds(self) -> None:
        """Examples differ in how hard they are by far more than training on them changes."""
        draws = np.random.default_rng(1)
        member = np.array([draws.permutation(8) < 4 for _ in range(2000)]).T
        hard = 20 * draws.standard_normal(2000)
        sure = hard + 2.0 * member + 0.5 * draws.standard_normal(member.shape)
        assert area(by_loss(sure), member) < 0.55
        assert area(by_likelihood_ratio(sure, member), member) > 0.95

    def test_models_that_remember_nothing_tell_nothing(self) -> None:
        draws = np.random.default_rng(2)
        member = np.array([draws.permutation(8) < 4 for _ in range(5000)]).T
        sure = draws.standard_normal(member.shape)
        assert area(by_likelihood_ratio(sure, member), member) == pytest.approx(0.5, abs=0.01)
        assert hits(by_likelihood_ratio(sure, member), member) == pytest.approx(0.01, abs=0.005)


class TestHalves:
    def test_each_run_trains_on_half_of_each_class_and_pairs_take_all(self, world: World) -> None:
        first, members = halves(world, 0)
        second, others = halves(world, 1)
        for node, whole in enumerate(world.nodes):
            assert np.array_equal(members[node], ~others[node])
            labels = [half.nodes[node].train.train.labels for half in (first, second)]
            assert sorted(np.concatenate(labels)) == sorted(whole.train.train.labels)
            assert np.bincount(labels[0]).tolist() == pytest.approx(np.bincount(labels[1]).tolist(), abs=1)

    def test_further_pairs_are_drawn_anew(self, world: World) -> None:
        assert not np.array_equal(halves(world, 0)[1][0], halves(world, 2)[1][0])


class TestViews:
    def test_what_neighbours_hold_of_a_node_is_near_its_model_and_not_the_same(self, world: World) -> None:
        method = learned(world, "ours", {}, 40)
        assert isinstance(method, MaskGossip)
        views = views_of("ours")
        for mine, theirs in zip(views[EXPORTED](method), views[REPLICA](method), strict=True):
            agreement = float(((mine != 0) == (theirs != 0)).float().mean())
            assert 0.75 < agreement < 1

    def test_who_sends_nothing_shows_its_exported_model_alone(self) -> None:
        assert list(views_of("dense_alone")) == list(views_of("masks_alone")) == [EXPORTED]
        assert list(views_of("dpsgd")) == [EXPORTED, SENT]


def test_rows_say_how_much_better_than_guessing_each_attack_is(world: World) -> None:
    runs = [json.loads(json.dumps(measure(world, "dense_alone", 100, number))) for number in range(6)]
    (row,) = rows_of("dense_alone", runs)
    assert row["train"] > row["test"] > 80
    assert row["ratio_area"] > row["loss_area"] > 0.5
