"""Finished rounds reach the disk when they should, and never the one that is under way."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from dslnode.config.settings import Settings
from dslnode.learning.learner import Learner
from dslnode.runtime import resume
from dslnode.runtime.build import build_learner
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.checkpointing import CheckpointSchedule, CheckpointWriter
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.runtime.snapshot_metadata import SnapshotMetadata
from dslnode.telemetry.logs import library_logger
from dslnode.telemetry.metrics import Metrics


class Node:
    """A learner with a state directory that keeps every third of ten rounds."""

    def __init__(self, directory: Path) -> None:
        self.state = StateDirectory(directory)
        self.learner: Learner = build_learner(Settings(local_steps=1, samples_per_class=2))
        self.worker = LearnerThread(self.learner)
        self.metrics = metrics = Metrics(list)
        metrics.describe("node", "run", directory)
        log = structlog.get_logger()
        self.keeper = CheckpointWriter(
            self.state, CheckpointSchedule(3, 10), self.worker, self.metadata, log=log, metrics=metrics
        )

    def metadata(self, number: int) -> SnapshotMetadata:
        return SnapshotMetadata(round=number, run_id="run", fingerprint="00")

    async def do_round(self, number: int) -> np.ndarray:
        """Train, keep, and return the scores that belong to the finished round."""
        await self.worker.train(number)
        scores: np.ndarray = self.learner.state()["scores"]
        await self.keeper.finished(number, {"round": number})
        return scores

    def kept(self) -> Snapshot:
        snapshot = StateDirectory(self.state.path).load()
        assert snapshot is not None
        return snapshot

    def written(self) -> int:
        snapshot = StateDirectory(self.state.path).load()
        return -1 if snapshot is None else snapshot.metadata.round


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.worker.close()


def test_every_so_many_rounds_and_the_last_one_are_due() -> None:
    assert [number for number in range(1, 11) if CheckpointSchedule(3, 10).is_due(number)] == [3, 6, 9, 10]
    assert [number for number in range(1, 8) if CheckpointSchedule(1).is_due(number)] == [1, 2, 3, 4, 5, 6, 7]


async def test_rounds_in_between_are_said_and_not_written(node: Node) -> None:
    with capture_logs() as log:
        for number in (1, 2, 3, 4):
            await node.do_round(number)
    assert [line["round"] for line in log if line["event"] == "round"] == [1, 2, 3, 4]
    assert node.written() == 3


async def test_an_orderly_stop_writes_the_last_finished_round_though_the_next_is_under_way(node: Node) -> None:
    for number in (1, 2, 3, 4):
        finished = await node.do_round(number)
    await node.worker.train(5)
    await node.keeper.close()
    kept = node.kept()
    assert kept.metadata.round == 4
    np.testing.assert_array_equal(kept.arrays["scores"], finished)
    assert not np.array_equal(finished, node.learner.state()["scores"])


async def test_a_stop_after_a_write_writes_nothing_more(node: Node) -> None:
    for number in (1, 2, 3):
        await node.do_round(number)
    (node.state.path / "state").unlink()
    await node.keeper.close()
    assert not (node.state.path / "state").exists()


async def test_a_stop_waits_for_a_slow_disk(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, sync = threading.Event(), threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        began.set()
        assert go_on.wait(10)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    round_three = asyncio.create_task(node.do_round(3))
    assert await asyncio.to_thread(began.wait, 10)
    closing = asyncio.create_task(node.keeper.close())
    await asyncio.sleep(0)
    assert not closing.done()
    go_on.set()
    await asyncio.wait_for(closing, 10)
    assert node.written() == 3
    await round_three


async def test_a_round_that_could_not_be_written_is_not_said_to_be_finished(node: Node) -> None:
    (node.state.path / "state.new").mkdir(parents=True)
    with capture_logs() as log:
        for number in (2, 3, 4):
            await node.do_round(number)
        await node.keeper.close()
    assert [(line["event"], line["round"]) for line in log] == [
        ("round", 2),
        ("state not saved", 3),
        ("round", 4),
        ("state not saved", 4),
    ]


async def test_a_round_that_could_not_be_written_is_written_at_the_stop(node: Node) -> None:
    (node.state.path / "state.new").mkdir(parents=True)
    finished = await node.do_round(3)
    (node.state.path / "state.new").rmdir()
    await node.worker.train(4)
    await node.keeper.close()
    kept = node.kept()
    assert kept.metadata.round == 3
    np.testing.assert_array_equal(kept.arrays["scores"], finished)


async def test_a_disk_that_takes_nothing_for_long_is_told_once_and_counted(node: Node) -> None:
    (node.state.path / "state.new").mkdir(parents=True)
    with capture_logs() as log:
        for number in (3, 6, 9):
            await node.do_round(number)
        (node.state.path / "state.new").rmdir()
        await node.do_round(10)
    assert [(line["event"], line["round"], line.get("failures")) for line in log] == [
        ("state not saved", 3, None),
        ("state saved again", 10, 3),
        ("round", 10, None),
    ]
    assert node.metrics.registry.get_sample_value("dslnode_save_failures_total", {"file": "state"}) == 3
    assert node.metrics.registry.get_sample_value("dslnode_save_failures_total", {"file": "ledger"}) == 0


async def test_the_best_model_is_saved_at_once_and_found_again_after_a_restart(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.worker.train(0)
    node.learner.keep_if_best(0.75)
    best = node.learner.mask
    await node.keeper.finished(1, {"round": 1}, is_best=True)
    assert node.written() == -1, "the state is written every third round"
    await node.worker.train(1)
    await node.worker.train(2)
    await node.keeper.finished(3, {"round": 3})
    again = Node(tmp_path)
    settings = Settings(run_id="run", state_dir=tmp_path)
    saved = node.state.load_best()
    assert saved is not None
    rewritten = saved.metadata.model_copy(update={"score": 0.75, "fingerprint": again.learner.fingerprint.hex()})
    node.state.save_best(Snapshot(rewritten, saved.arrays))
    resume.restore_best(again.state, settings, again.learner, library_logger())
    again.learner.restore(node.kept().arrays)
    assert again.learner.best is not None
    assert (again.learner.best.round, again.learner.best.form.mask) == (1, best)
    assert again.learner.mask == node.learner.mask != best
    node.worker.close()
    again.worker.close()


async def test_a_best_model_that_was_chosen_by_another_score_is_left_alone(tmp_path: Path) -> None:
    node, again = Node(tmp_path), Node(tmp_path)
    settings = Settings(run_id="run", state_dir=tmp_path)
    facts = {"score": 0.75, "score_name": "balanced accuracy", "fingerprint": node.learner.fingerprint.hex()}
    await node.worker.train(0)
    await node.keeper.finished(1, {"round": 1}, is_best=True)
    saved = node.state.load_best()
    assert saved is not None
    node.state.save_best(Snapshot(saved.metadata.model_copy(update=facts), saved.arrays))
    with capture_logs() as logs:
        resume.restore_best(again.state, settings, again.learner, structlog.get_logger())
    assert [line["event"] for line in logs] == ["best model not taken"]
    assert "--uneven-classes" in logs[0]["why"]
    assert again.learner.best is None
    assert again.learner.keep_if_best(0.5, 2), "the next one that is measured is the best so far"
    node.worker.close()
    again.worker.close()


async def test_a_damaged_best_model_is_logged_and_no_reason_to_stop(tmp_path: Path) -> None:
    node = Node(tmp_path)
    (tmp_path / "best").write_bytes(b"rubbish")
    with capture_logs() as logs:
        resume.restore_best(node.state, Settings(state_dir=tmp_path), node.learner, structlog.get_logger())
    assert [line["event"] for line in logs] == ["best model not taken"]
    assert node.learner.best is None
    node.worker.close()
