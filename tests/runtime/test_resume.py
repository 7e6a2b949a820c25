"""What a restart checks and takes over besides the learner's arrays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from dslnode.config.settings import Settings
from dslnode.errors import StateError
from dslnode.protocol.messages import MaskKind
from dslnode.runtime.resume import check, check_score, restore_traffic, snapshot
from dslnode.runtime.snapshot_metadata import KnownPeer, SnapshotMetadata
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.traffic import Flow, Traffic

SETTINGS = Settings(run_id="mine", state_dir=Path("/var/lib/node"))
FINGERPRINT = bytes(range(16))


def network(traffic: dict[str, Traffic] | None = None, **links: object) -> ConnectionManager:
    return cast(ConnectionManager, SimpleNamespace(links=links, traffic=traffic or {}))


def remembered(settings: Settings = SETTINGS, fingerprint: bytes = FINGERPRINT) -> SnapshotMetadata:
    return snapshot(5, settings, fingerprint, network())


def test_the_metadata_survives_json_and_pass_the_check_of_the_same_run() -> None:
    neighbour = SimpleNamespace(name="board", advertise="10.0.0.2:7711")
    links = network({"ab": Traffic()}, ab=SimpleNamespace(neighbour=neighbour))
    metadata = snapshot(5, SETTINGS, FINGERPRINT, links)
    assert SnapshotMetadata.model_validate_json(metadata.model_dump_json()) == metadata
    assert metadata.round == 5
    assert metadata.neighbours == [KnownPeer(node_id="ab", name="board", advertise="10.0.0.2:7711")]
    check(metadata, SETTINGS, FINGERPRINT)


def test_another_runs_state_is_refused_with_advice() -> None:
    with pytest.raises(StateError) as caught:
        check(remembered(Settings(run_id="theirs")), SETTINGS, FINGERPRINT)
    assert str(caught.value) == (
        "/var/lib/node: holds the state of run 'theirs', this is 'mine'; "
        "choose another --state-dir or the same --run-id"
    )


def test_another_frozen_networks_state_is_refused_with_advice() -> None:
    with pytest.raises(StateError, match=r"/var/lib/node: .* another model or seed; .*--model, --data and --seed"):
        check(remembered(fingerprint=bytes(16)), SETTINGS, FINGERPRINT)


def test_a_best_model_chosen_by_another_score_is_refused_with_the_reason() -> None:
    of_score = remembered().model_copy(update={"score": 0.75, "score_name": "balanced accuracy"})
    check_score(of_score, "balanced accuracy")
    for nameless in ({"score_name": ""}, {"score": None}):
        check_score(of_score.model_copy(update=nameless), "accuracy")
    with pytest.raises(StateError, match=r"balanced accuracy is its score, and this node's is accuracy: --uneven-cl"):
        check_score(of_score, "accuracy")


def test_traffic_counts_on_after_a_restart() -> None:
    sent = Flow(masks=3, payload_bits=800, mask_bytes=120, control_bytes=30, link_bytes=250, resent_bytes=7)
    received = Flow(masks=2, payload_bits=500, mask_bytes=70, control_bytes=20)
    before = {"ab": Traffic(sent, received), "cd": Traffic()}
    saved = snapshot(5, SETTINGS, FINGERPRINT, network(before)).model_dump_json()
    metadata = SnapshotMetadata.model_validate_json(saved)

    restarted = network()
    restore_traffic(metadata, restarted)
    assert restarted.traffic.keys() == before.keys()
    after = restarted.traffic["ab"]
    assert (after.sent.masks, after.sent.payload_bits, after.sent.mask_bytes) == (3, 800, 120)
    assert (after.sent.wire_bytes, after.received.wire_bytes) == (sent.wire_bytes, received.wire_bytes) == (250, 90)
    assert after.sent == sent

    after.sent.count(100, MaskKind.KEEP, 64)
    after.sent.link_bytes += 40
    assert (after.sent.payload_bits, after.sent.wire_bytes) == (864, 290)


def test_a_second_restart_counts_nothing_twice() -> None:
    once = network({"ab": Traffic(Flow(link_bytes=15))})
    for _ in range(2):
        metadata = snapshot(5, SETTINGS, FINGERPRINT, once)
        once = network()
        restore_traffic(metadata, once)
    assert once.traffic["ab"].sent.wire_bytes == 15
