"""The mask that learns without neighbours: the same rounds, the same minibatches, and nothing of what others sent."""

from __future__ import annotations

import numpy as np
import structlog
from structlog.testing import capture_logs

from dslnode.config.settings import Settings
from dslnode.learning.learner import Learner
from dslnode.protocol.events import NeighbourMasks
from dslnode.runtime.build import build_alone, build_learner
from dslnode.runtime.learner_thread import ALONE, LearnerThread
from dslnode.runtime.resume import restore_alone
from dslnode.runtime.snapshot_metadata import SnapshotMetadata

SETTINGS = Settings(local_steps=3, samples_per_class=4, shadow_alone=True)
METADATA = SnapshotMetadata(round=2, run_id="r", fingerprint="00")


def pair() -> tuple[Learner, Learner]:
    learner = build_learner(SETTINGS)
    alone = build_alone(SETTINGS, learner)
    assert alone is not None
    return learner, alone


async def test_it_is_what_the_node_would_be_without_neighbours() -> None:
    learner, alone = pair()
    reference = build_learner(SETTINGS)
    thread = LearnerThread(learner, alone=alone)
    other = build_learner(SETTINGS.model_copy(update={"name": "other"}))
    for number in range(2):
        await thread.train(number)
        reference.train_round(number)
        other.train_round(number)
        sent = (NeighbourMasks("other", other.mask, (), 0),)
        found = await thread.aggregate(sent, evaluate=True)
        reference.aggregate([])
    assert alone.mask == reference.mask
    assert found.alone == reference.score()
    assert learner.mask != alone.mask
    assert learner.data is alone.data, "examples are held once"
    thread.close()


async def test_it_is_saved_with_the_node_and_goes_on() -> None:
    learner, alone = pair()
    thread = LearnerThread(learner, alone=alone)
    await thread.train(0)
    await thread.aggregate((), evaluate=False)
    arrays = (await thread.snapshot(METADATA)).arrays
    _, again = pair()
    restore_alone(again, arrays, structlog.get_logger())
    assert again.mask == alone.mask
    assert np.array_equal(again.state()["scores"], alone.state()["scores"])
    learner.restore(arrays)
    thread.close()


async def test_a_state_without_it_is_said_to_make_the_comparison_unfair() -> None:
    learner, alone = pair()
    state = learner.state()
    assert not any(name.startswith(ALONE) for name in state)
    with capture_logs() as logs:
        restore_alone(alone, state, structlog.get_logger())
    assert [line["event"] for line in logs] == ["mask without neighbours starts anew"]


def test_without_being_asked_for_there_is_none() -> None:
    assert build_alone(Settings(), build_learner(SETTINGS)) is None
