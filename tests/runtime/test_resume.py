"""What a restart checks and takes over besides the learner's arrays."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from dslnode.config.settings import Settings
from dslnode.errors import StateError
from dslnode.learning.learner import Learner
from dslnode.protocol.messages import MaskKind
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.resume import check, check_answers, check_score, restore_best, restore_traffic, snapshot
from dslnode.runtime.snapshot_metadata import KnownPeer, SnapshotMetadata
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.traffic import Flow, Traffic
from tests.learning.test_answer_units import learned, uneven

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


def saved_best(state: StateDirectory, learner: Learner, number: int, settings: Settings = SETTINGS) -> None:
    """Save the learner's present model as the best one of so many rounds, with its score."""
    score = learner.score()
    assert score is not None
    facts = {"round": number, "score": score, "score_name": learner.task.score_name}
    metadata = remembered(settings, learner.fingerprint).model_copy(update=facts)
    state.save_best(Snapshot(metadata, learner.state()))


def restored(directory: Path, learner: Learner, settings: Settings = SETTINGS) -> list[MutableMapping[str, Any]]:
    """Let a learner take the best model of a directory, as at a start; return what is logged."""
    with capture_logs() as logs:
        restore_best(StateDirectory(directory), settings, learner, structlog.get_logger())
    return logs


def bests(directory: Path) -> list[tuple[str, str, int]]:
    """Return file, score name and round of each best model that is saved."""
    found = StateDirectory(directory).generations()
    return [(each.name, each.metadata.score_name, each.metadata.round) for each in found if each.metadata]


def test_a_start_with_another_setting_does_not_cost_the_best_model(tmp_path: Path) -> None:
    by_frequency, alike = learned("by_frequency"), learned("alike")
    state = StateDirectory(tmp_path)
    saved_best(state, by_frequency, 10)
    saved_best(state, alike, 11)
    kept, back = by_frequency.mask, learned("by_frequency")
    back.train_round()
    [line] = restored(tmp_path, back)
    assert (line["event"], line["round"]) == ("older best model taken", 10)
    assert "balanced accuracy is its score" in line["why"]
    assert back.best is not None
    assert (back.best.round, back.best.form.mask) == (10, kept)
    assert bests(tmp_path) == [("best", "accuracy", 10), ("best.old", "balanced accuracy", 11)], (
        "it is what is exported"
    )
    assert restored(tmp_path, learned("by_frequency")) == []
    assert restored(tmp_path, learned("alike"))[0]["event"] == "older best model taken"
    assert bests(tmp_path) == [("best", "balanced accuracy", 11), ("best.old", "accuracy", 10)], "nothing is lost"


def test_where_no_best_model_fits_the_files_are_left_alone(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    for number in (5, 10):
        saved_best(state, learned("by_frequency"), number)
    before, alike = bests(tmp_path), learned("alike")
    [line] = restored(tmp_path, alike)
    assert (line["event"], line["then"]) == ("best model not taken", "the best model is chosen anew")
    assert alike.best is None
    assert bests(tmp_path) == before


def test_a_best_model_that_answers_by_other_shares_of_classes_is_not_taken(tmp_path: Path) -> None:
    data = uneven()
    labels = data.train.labels
    others = replace(data, train=data.train.take(np.flatnonzero((labels != 0) | (np.arange(len(labels)) % 20 == 0))))
    before, after = learned("by_frequency"), learned("by_frequency", data=others)
    assert before.task.score_name == after.task.score_name
    saved_best(StateDirectory(tmp_path), before, 10)
    [line] = restored(tmp_path, after)
    assert line["event"] == "best model not taken"
    assert line["why"].startswith("the shares of the classes, by which it answers, are not this node's")
    assert after.best is None
    assert restored(tmp_path, learned("by_frequency")) == []


def test_a_best_model_that_answers_by_shares_is_not_taken_where_classes_are_even(tmp_path: Path) -> None:
    data = uneven()
    even = replace(data, train=data.train.take(np.flatnonzero(data.train.labels == 1)))
    by_frequency, of_even = learned("by_frequency"), learned("by_frequency", data=even)
    assert of_even.answer_tensors == {}
    for before, after in ((by_frequency, of_even), (of_even, by_frequency)):
        saved_best(StateDirectory(tmp_path), before, 10)
        saved_best(StateDirectory(tmp_path), before, 11)
        with pytest.raises(StateError, match="the shares of the classes"):
            check_answers(before.state(), after)
        assert [line["event"] for line in restored(tmp_path, after)] == ["best model not taken"]


def test_a_node_that_keeps_the_last_model_takes_no_best_one_and_says_so_in_its_state(tmp_path: Path) -> None:
    last = SETTINGS.model_copy(update={"keep": "last"})
    saved_best(StateDirectory(tmp_path), learned("by_frequency"), 10)
    for uneven_classes in ("by_frequency", "alike"):
        learner = learned(uneven_classes)
        assert restored(tmp_path, learner, last) == []
        assert learner.best is None
    assert (remembered(last).keep, remembered().keep) == ("last", "best")
    earlier = remembered().model_dump(exclude={"keep"})
    assert SnapshotMetadata.model_validate(earlier).keep == "best"


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
