"""The exposition: every metric of the contract, with its labels, clean by Prometheus' own linter, over HTTP."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from bitarray import bitarray, frozenbitarray
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dslnode import __version__
from dslnode.learning.results import AggregatedRound, Baseline, Progress, TrainedRound
from dslnode.protocol.events import Phase
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.telemetry.metrics import Metrics
from dslnode.telemetry.peer_status import PeerStatus
from dslnode.transport.traffic import Flow, Traffic
from tests.learning.data_sets import held_out

LINKED = PeerStatus(
    name="board-2",
    node_id="ab" * 16,
    address="10.0.0.2:7711",
    connected=True,
    round=6,
    staleness=1,
    agreement=0.75,
    float32_bits_sent=32_000,
    traffic=Traffic(
        Flow(payload_bits=1_000, mask_bytes=150, link_bytes=400),
        Flow(payload_bits=2_000, mask_bytes=280, link_bytes=700),
    ),
)
UNREACHED = PeerStatus("10.0.0.9:7711", "", "10.0.0.9:7711", connected=False, problem="connection refused")
LAYOUT = MaskLayout((MaskLayer("0.weight", (2, 5)), MaskLayer("2.weight", (2, 5))))
MASK = Mask(LAYOUT, frozenbitarray(bitarray("11100000001111000000", endian="little")))
FLIPS = {"0.weight": 0.02, "2.weight": 0.0}
TRAINED = TrainedRound(MASK, Progress(loss=0.5, score=0.9, steps=10, score_name="accuracy"), FLIPS, 0.01, seconds=0.2)
BOARD = {"neighbour": "board-2", "node_id": "ab" * 16}


def filled(neighbours: Callable[[], list[PeerStatus]] = lambda: [LINKED, UNREACHED]) -> Metrics:
    """Return the metrics of a node that has done some rounds."""
    found = Metrics(neighbours)
    found.describe("board-1", "greenhouse")
    found.round.set(7)
    found.rounds_finished.inc(7)
    found.set_phase(Phase.EXCHANGING)
    found.trained(TRAINED)
    found.aggregated(AggregatedRound({}, held_out(0.8, Baseline("majority", 0.85, trivial=True)), 0.7, 2, 0.1))
    for phase in ("exchange", "aggregate", "save"):
        found.observe_phase(phase, 0.2)
    found.refused.labels("far_future").inc()
    found.count_dial_back("reached")
    found.checkpoint_bytes.inc(12_345)
    return found


def samples(found: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return what Prometheus reads, by name and labels; fails if two samples are alike."""
    text = generate_latest(found.registry).decode()
    listed = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    by_key = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in listed}
    assert len(by_key) == len(listed)
    return by_key


def test_every_metric_of_the_contract_is_there_with_its_labels() -> None:
    found = samples(filled())
    wire = {"sent": (150, 250), "received": (280, 420)}
    expected: list[tuple[str, dict[str, str], float]] = [
        ("dslnode_info", {"version": __version__, "name": "board-1", "run": "greenhouse"}, 1),
        ("dslnode_collaboration_weight_ratio", {}, 0.7),
        ("dslnode_replica_restarts_total", {}, 2),
        ("dslnode_round", {}, 7),
        ("dslnode_rounds_finished_total", {}, 7),
        ("dslnode_phase", {"phase": "exchanging"}, 1),
        ("dslnode_phase", {"phase": "training"}, 0),
        ("dslnode_loss", {}, 0.5),
        ("dslnode_score", {"data": "train", "score": "accuracy"}, 0.9),
        ("dslnode_score", {"data": "held_out", "score": "accuracy"}, 0.8),
        ("dslnode_better_than_trivial", {"score": "accuracy"}, 0),
        ("dslnode_baseline_score", {"baseline": "majority", "trivial": "yes"}, 0.85),
        ("dslnode_held_out", {"figure": "accuracy", "unit": ""}, 0.8),
        ("dslnode_accuracy_ratio", {"data": "train"}, 0.9),
        ("dslnode_accuracy_ratio", {"data": "held_out"}, 0.8),
        ("dslnode_mask_density_ratio", {"layer": "0.weight"}, 0.3),
        ("dslnode_mask_density_ratio", {"layer": "2.weight"}, 0.4),
        ("dslnode_mask_flipped_ratio", {}, 0.01),
        ("dslnode_mask_layer_flipped_ratio", {"layer": "0.weight"}, 0.02),
        ("dslnode_mask_layer_flipped_ratio", {"layer": "2.weight"}, 0),
        ("dslnode_neighbour_agreement_ratio", BOARD, 0.75),
        ("dslnode_neighbour_staleness_rounds", BOARD, 1),
        ("dslnode_neighbour_round", BOARD, 6),
        ("dslnode_neighbour_up", BOARD, 1),
        ("dslnode_neighbour_up", {"neighbour": "10.0.0.9:7711", "node_id": ""}, 0),
        ("dslnode_neighbours_connected", {}, 1),
        ("dslnode_round_phase_seconds_count", {"phase": "train"}, 1),
        ("dslnode_round_phase_seconds_bucket", {"phase": "exchange", "le": "0.3"}, 1),
        ("dslnode_round_phase_seconds_bucket", {"phase": "exchange", "le": "0.1"}, 0),
        ("dslnode_messages_refused_total", {"reason": "far_future"}, 1),
        ("dslnode_dial_backs_total", {"outcome": "reached"}, 1),
        ("dslnode_checkpoint_written_bytes_total", {}, 12_345),
        ("dslnode_payload_bit_total", {**BOARD, "direction": "sent", "kind": "mask"}, 1_000),
        ("dslnode_payload_bit_total", {**BOARD, "direction": "received", "kind": "mask"}, 2_000),
        ("dslnode_float32_equivalent_bit_total", BOARD, 32_000),
        *(
            ("dslnode_wire_bytes_total", {**BOARD, "direction": direction, "kind": kind}, value)
            for direction, values in wire.items()
            for kind, value in zip(("mask", "control"), values, strict=True)
        ),
    ]
    for name, labels, value in expected:
        assert found[name, frozenset(labels.items())] == value, (name, labels)
    assert "process_resident_memory_bytes" in {name for name, _ in found}


def test_a_round_without_a_measurement_leaves_the_last_accuracy() -> None:
    found = filled()
    found.trained(replace(TRAINED, flipped=0.5))
    found.aggregated(AggregatedRound({}, None, 0.7, 3, 0.1))
    now = samples(found)
    assert now["dslnode_accuracy_ratio", frozenset({("data", "held_out")})] == 0.8
    assert now["dslnode_mask_flipped_ratio", frozenset()] == 0.5
    assert now["dslnode_replica_restarts_total", frozenset()] == 3


def test_exactly_one_phase_is_set() -> None:
    found = filled()
    found.set_phase(Phase.TRAINING)
    marked = {labels: value for (name, labels), value in samples(found).items() if name == "dslnode_phase"}
    assert {dict(labels)["phase"] for labels in marked} == {phase.value for phase in Phase}
    assert [dict(labels)["phase"] for labels, value in marked.items() if value] == ["training"]


def test_unknown_values_of_a_peer_have_no_sample() -> None:
    found = samples(filled(lambda: [UNREACHED]))
    assert found["dslnode_neighbours_connected", frozenset()] == 0
    known = {name for name, _ in found}
    assert known.isdisjoint({f"dslnode_neighbour_{what}" for what in ("round", "staleness_rounds", "agreement_ratio")})


def test_peers_are_read_at_each_scrape() -> None:
    neighbours = [LINKED]
    found = filled(lambda: neighbours)
    key = ("dslnode_neighbour_staleness_rounds", frozenset(BOARD.items()))
    assert samples(found)[key] == 1
    neighbours[:] = [replace(LINKED, staleness=2)]
    assert samples(found)[key] == 2
    neighbours.clear()
    assert key not in samples(found)


def test_names_from_outside_cannot_break_the_exposition() -> None:
    name = 'a"} 1\n# TYPE x\\'
    found = samples(filled(lambda: [replace(LINKED, name=name)]))
    assert found["dslnode_neighbour_up", frozenset({"neighbour": name, "node_id": "ab" * 16}.items())] == 1


@pytest.mark.process
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
@pytest.mark.parametrize("found", [filled(), Metrics(lambda: [])], ids=["busy node", "node just started"])
def test_prometheus_own_linter_finds_nothing(found: Metrics) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=generate_latest(found.registry),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_two_nodes_in_one_process_do_not_share_metrics() -> None:
    first, second = filled(), Metrics(lambda: [])
    assert first.registry is not second.registry
    assert samples(second)["dslnode_round", frozenset()] == 0


def test_only_a_banned_peer_has_a_ban_with_its_reason() -> None:
    name = "dslnode_peer_banned"
    assert name not in {key for key, _ in samples(filled())}
    found = samples(filled(lambda: [replace(LINKED, ban_reason="flood"), UNREACHED]))
    assert {key: value for key, value in found.items() if key[0] == name} == {
        (name, frozenset({**BOARD, "reason": "flood"}.items())): 1
    }


def test_the_reason_why_training_waits_is_a_label_while_it_does() -> None:
    metrics = filled()
    metrics.set_waiting("heat")
    metrics.set_waiting("hours")
    assert samples(metrics)["dslnode_waiting", frozenset({("reason", "hours")})] == 1
    assert ("dslnode_waiting", frozenset({("reason", "heat")})) not in samples(metrics)
    metrics.set_waiting("")
    assert "dslnode_waiting" not in {key for key, _ in samples(metrics)}
