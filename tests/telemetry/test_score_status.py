"""What is said of held-out answers: in the reply, the log and for people."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.learning.judgement import judge_classes, judge_numbers
from dslnode.learning.results import Baseline, HeldOut
from dslnode.telemetry import score_status
from dslnode.v1 import node_pb2 as pb

CLASSES = HeldOut(
    name="balanced accuracy",
    score=0.75,
    judgement=judge_classes(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), ("well", "broken")),
    baselines=(Baseline("majority", 0.5, trivial=True), Baseline("linear", 0.9, trivial=False)),
    form="levels",
)
NUMBERS = HeldOut(
    name="R2", score=-0.5, judgement=judge_numbers(np.ones((2, 1)), np.zeros((2, 1)), ("mm",)), baselines=()
)


def reply_for(held_out: HeldOut) -> pb.StatusReply:
    reply = pb.StatusReply()
    score_status.fill_in(reply, held_out)
    return reply


def test_the_reply_has_classes_by_name_and_the_confusion_row_by_row() -> None:
    reply = reply_for(CLASSES)
    assert (reply.score_name, reply.score, reply.accuracy) == ("balanced accuracy", 0.75, 0.75)
    assert [(each.name, each.examples, each.recall) for each in reply.classes] == [("well", 2, 1), ("broken", 2, 0.5)]
    assert list(reply.confusion) == [2, 0, 1, 1]
    assert [each.name for each in reply.baselines] == ["majority", "linear"]
    assert score_status.unbeaten(reply) is None


def test_numbers_have_no_accuracy_but_errors_in_their_unit() -> None:
    reply = reply_for(NUMBERS)
    assert not reply.HasField("accuracy")
    assert {(each.name, each.value, each.unit) for each in reply.figures} >= {("MAE", 1.0, "mm")}
    assert score_status.log_fields(NUMBERS) == {"score": -0.5, "score_name": "R2", "form": "binary"}


def test_the_log_has_the_plain_accuracy_beside_a_balanced_one() -> None:
    expected = {"accuracy": 0.75, "score": 0.75, "score_name": "balanced accuracy", "form": "levels"}
    assert score_status.log_fields(CLASSES) == expected
    assert reply_for(CLASSES).form == "levels"


def test_many_classes_still_fit() -> None:
    labels = np.arange(500)
    names = tuple("x" * 1_000 for _ in labels)
    judged = HeldOut(name="accuracy", score=1.0, judgement=judge_classes(labels, labels, names))
    reply = reply_for(judged)
    assert len(reply.classes) == score_status.MAX_CLASSES_REPORTED
    assert not reply.confusion
    assert reply.ByteSize() < 20_000


@pytest.mark.parametrize(
    ("name", "score", "text"),
    [("accuracy", 0.5, "50.0 %"), ("balanced accuracy", 1.0, "100.0 %"), ("R2", -1.25, "-1.250"), ("R2", None, "-")],
)
def test_scores_for_people(name: str, score: float | None, text: str) -> None:
    assert score_status.score_text(name, score) == text


def test_a_node_older_than_scores_is_shown_by_its_accuracy() -> None:
    assert score_status.held_out_score(pb.StatusReply(accuracy=0.5)) == ("accuracy", 0.5)
    assert score_status.held_out_score(pb.StatusReply()) == ("accuracy", None)
    assert score_status.held_out_score(pb.StatusReply(score=0.25, score_name="R2")) == ("R2", 0.25)
