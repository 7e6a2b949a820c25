"""Whole simulations: what they learn and send is what the daemon's parts make of it, and follows from the seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from benchmarks.accuracy.masks import Lockstep
from dslnode.errors import SettingsError
from dslnode.learning.learner import Learner
from dslnode.learning.model_building import build_model
from dslnode.protocol.messages import Exchange
from dslnode.runtime.build import initialization_options, training_options
from dslnode.simulation.build import board_settings
from dslnode.simulation.method_simulation import AnySimulation, MethodSimulation
from dslnode.simulation.partition_file import write_partition
from dslnode.simulation.records import summaries
from dslnode.simulation.simulation import Simulation
from dslnode.simulation.virtual_network import HANDSHAKE_BYTES
from tests.simulation.networks import finished, nodes_of, simulation

FAST = {"link": "100Mbit/s,1ms"}


def plain_learners(of: Simulation) -> list[Learner]:
    """Return the learners that daemons with the same settings would build, which share nothing."""
    learners = []
    for number, board in enumerate(of.prepared.plan.boards):
        own = board_settings(of.prepared.settings, number, board, of.prepared.plan.parts)
        data = of.prepared.parts[board.part - 1]
        model = build_model(own.model, data, own.seed)
        learners.append(Learner(model, data, training_options(own), initialization_options(own)))
    return learners


@pytest.mark.parametrize("exchange", [Exchange.SIGN, Exchange.KEEP, Exchange.BOTH])
def test_nodes_learn_to_the_bit_what_they_learn_without_virtual_time(exchange: Exchange) -> None:
    simulated = finished(exchange=exchange, **FAST)
    learners = plain_learners(simulated)
    lockstep = Lockstep(learners, simulated.prepared.plan.neighbours, exchange)
    for number in range(4):
        lockstep.round(min(number, 2))
    assert [node.machine.round for node in nodes_of(simulated)] == [3] * 6
    together = [learner.mask.bits for learner in learners]
    assert [node.learner.mask.bits for node in nodes_of(simulated)] == together


@pytest.mark.parametrize("link", ["100Mbit/s,1ms", "20kbit/s,300ms,5%"])
def test_a_simulation_follows_from_its_seed(link: str) -> None:
    given = {"link": link, "churn": 0.2, "speed_sigma": 0.5, "rounds": 4}
    first, again, other = finished(**given), finished(**given), finished(**given, seed=2)
    assert first.records == again.records
    assert first.records != other.records


def test_neighbours_help() -> None:
    given = {"topology": "complete", "rounds": 8, "samples_per_class": 3, "local_steps": 20, **FAST}
    together, alone = finished(**given), finished(**given, method="masks_alone")
    alone_scores = [each.score for each in alone.records if each.round == 8 and each.score is not None]
    assert _last_score(together) > fmean(alone_scores) + 0.01
    assert alone.records[-1].payload_bits == 0


def test_a_thin_line_costs_time_and_no_bits() -> None:
    fast, slow = finished(**FAST), finished(link="20kbit/s,100ms")
    assert summaries(slow.records)[-1].median_seconds > 3 * summaries(fast.records)[-1].median_seconds
    bits = [summaries(each.records)[-1].mean_payload_bits for each in (fast, slow)]
    assert bits[1] == pytest.approx(bits[0], rel=0.1)


def test_nodes_that_leave_return_and_finish_all_their_rounds() -> None:
    ended = finished(rounds=12, churn=0.2, local_steps=3, wait_for_peers=0.0, **FAST)
    incidents = ended.incidents
    assert incidents is not None
    assert incidents.departures > 3
    assert [node.machine.round for node in nodes_of(ended)] == [12] * 6
    assert sum(node.refused for node in nodes_of(ended)) == 0
    assert any(node.learner.restarts for node in nodes_of(ended)), "their neighbours' replicas did not fit"


def test_hostile_nodes_do_harm_which_clipping_bounds() -> None:
    given = {"topology": "complete", "nodes": 8, "rounds": 5, "hostile": "0.25:loud", **FAST}
    scores = [_last_score(finished(robust_aggregation=rule, **given)) for rule in ("off", "clipped")]
    assert scores[1] > scores[0] + 0.05


def test_a_data_cap_holds_and_spaces_exchanges() -> None:
    given = {"rounds": 12, "step_time": 60.0, "send_threshold": 0.0, **FAST}
    free, capped = finished(**given), finished(data_cap="1.8MB/day", **given)
    sent = [each.records[-1].wire_bytes for each in (free, capped)]
    assert sent[1] < 0.9 * sent[0]
    for node in nodes_of(capped):
        assert node.scheduler is not None
        assert node.scheduler.usage().used_bytes <= 1_800_000
        assert node.scheduler.exchanges_skipped > 0


def test_every_link_costs_a_handshake_once() -> None:
    ended = finished(topology="ring", rounds=2, **FAST)
    for node in nodes_of(ended):
        assert len(node.traffic) == 2
        for traffic in node.traffic.values():
            rest = traffic.sent.link_bytes - traffic.sent.mask_bytes - traffic.sent.control_bytes
            assert HANDSHAKE_BYTES < rest < HANDSHAKE_BYTES + 2_000, "the rest is headers and TLS records"


def test_it_ends_at_the_score_that_is_asked_for() -> None:
    ended = finished(rounds=50, until_score=0.8, local_steps=20, **FAST)
    assert max(record.round for record in ended.records) < 20
    assert _last_score(ended) >= 0.8
    assert ended.reached == ended.records[-1]


def test_a_score_that_is_not_reached_is_no_record() -> None:
    assert finished(nodes=2, rounds=1, until_score=1.0, local_steps=1, **FAST).reached is None


@pytest.mark.parametrize("method", ["ours", "dpsgd"])
def test_nodes_that_hold_out_nothing_do_not_keep_a_score_from_being_reached(tmp_path: Path, method: str) -> None:
    file = tmp_path / "partition.jsonl"
    first, second = simulation(nodes=2, rounds=1).prepared.positions
    write_partition(file, [first, replace(second, held_out=second.held_out[:0])])
    given: dict[str, Any] = {"nodes": 2, "rounds": 2, "partition": str(file), "until_score": 0.01, **FAST}
    begun = simulation(**given)
    ended: AnySimulation = begun
    if method != "ours":
        ended = MethodSimulation(begun.prepared, method)
        list(ended.build())
    list(ended.run())
    assert ended.reached is not None
    assert ended.reached.round == 1
    write_partition(file, [replace(part, held_out=part.held_out[:0]) for part in (first, second)])
    with pytest.raises(SettingsError, match="no honest node holds out examples"):
        simulation(**given)


def test_a_score_above_the_best_one_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"--until 90: 1 is the best score there is; write 90 % as 0.9"):
        simulation(nodes=2, until_score=90.0)


def test_every_node_and_round_has_a_record() -> None:
    records = finished(evaluate_every=2, rounds=4, keep_ratio="0.2..0.6", **FAST).records
    assert {(record.node, record.round) for record in records} == {(i, n) for i in range(6) for n in range(1, 5)}
    assert [record.score is not None for record in records if record.node == 0] == [True, False, True, True]
    assert records[0].density == pytest.approx(0.2, abs=0.01)
    assert all(record.wire_bytes > record.payload_bits / 8 for record in records if record.payload_bits)


def test_nodes_hold_what_they_have_in_common_once() -> None:
    ended = simulation(nodes=8, topology="complete", parts=4, rounds=2)
    for _ in ended.run():
        pass
    nodes = nodes_of(ended)
    consensus = [node.learner._consensus for node in nodes]
    assert len({id(each._seeded_scores) for each in consensus}) == 1
    assert len({id(node.learner.network.weights) for node in nodes}) == 1
    peers = [peer for each in consensus for peer in each._peers.values()]
    replicas = {id(end.scores) for peer in peers for end in (peer.outgoing, peer.incoming)}
    assert len(replicas) <= 2 * len(nodes) < len(peers)


def test_what_no_daemons_could_form_is_refused() -> None:
    with pytest.raises(SettingsError, match="a daemon links with 100 at most"):
        simulation(nodes=102, topology="complete")
    for kind in ("random", "silent"):
        with pytest.raises(SettingsError, match="leaves no honest node"):
            simulation(hostile=f"1:{kind}")


def _last_score(ended: Simulation) -> float:
    """Return the mean of the honest nodes' last scores."""
    boards = ended.prepared.plan.boards
    last = {each.node: each.score for each in ended.records if each.score is not None and not boards[each.node].hostile}
    return fmean(last.values())


def test_a_partition_in_a_file_is_the_partition_that_wrote_it(tmp_path: Path) -> None:
    drawn = finished(rounds=1, parts=3, **FAST)
    file = tmp_path / "partition.jsonl"
    write_partition(file, drawn.prepared.positions)
    assert finished(rounds=1, partition=str(file), **FAST).records == drawn.records
    file.write_text("\n".join(reversed(file.read_text().splitlines())))
    assert finished(rounds=1, partition=str(file), **FAST).records != drawn.records
    with pytest.raises(SettingsError, match="leave --parts out"):
        simulation(partition=str(file), parts=3)
