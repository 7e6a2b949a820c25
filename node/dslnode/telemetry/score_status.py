"""How good the personal model is, as the status reply, the log and people get it."""

from __future__ import annotations

from typing import Any

from dslnode.learning.results import HeldOut
from dslnode.v1 import node_pb2 as pb

MAX_CLASSES_REPORTED = 100  # the reply must fit into one message
MAX_CONFUSION = 20  # classes
MAX_NAME = 100  # characters
ACCURACY = "accuracy"
PERCENTAGES = (ACCURACY, "balanced accuracy")
"""Scores that people read in percent."""


def score_text(name: str, score: float | None) -> str:
    """Return a score for people: accuracies in percent, others with three decimals, ``-`` for None."""
    if score is None:
        return "-"
    return f"{100 * score:.1f} %" if name in PERCENTAGES else f"{score:.3f}"


def held_out_score(reply: pb.StatusReply) -> tuple[str, float | None]:
    """Return name and value of a node's held-out score; of a node that is older than scores, its accuracy."""
    if reply.HasField("score"):
        return reply.score_name, reply.score
    return ACCURACY, reply.accuracy if reply.HasField("accuracy") else None


def unbeaten(reply: pb.StatusReply) -> pb.Baseline | None:
    """Return the best trivial baseline if the node's model does not beat it, else None."""
    best = max((each for each in reply.baselines if each.trivial), key=lambda each: each.score, default=None)
    return best if best is not None and reply.HasField("score") and reply.score <= best.score else None


def accuracy_of(held_out: HeldOut) -> float | None:
    """Return the plain accuracy, 0 to 1; None where the task has none."""
    return next((each.value for each in held_out.judgement.metrics if each.name == ACCURACY), None)


def log_fields(held_out: HeldOut) -> dict[str, Any]:
    """Return the fields of a round's log line."""
    accuracy = accuracy_of(held_out)
    plain = {} if accuracy is None else {"accuracy": round(accuracy, 4)}
    return {**plain, "score": round(held_out.score, 4), "score_name": held_out.name, "form": held_out.form}


def fill_in(reply: pb.StatusReply, held_out: HeldOut) -> None:
    """Set what a reply says of the held-out examples."""
    judgement, accuracy = held_out.judgement, accuracy_of(held_out)
    reply.score_name, reply.score, reply.form = held_out.name, held_out.score, held_out.form
    if accuracy is not None:
        reply.accuracy = accuracy
    reply.figures.extend(pb.Figure(name=each.name, value=each.value, unit=each.unit) for each in judgement.metrics)
    reply.classes.extend(
        pb.ClassStatus(name=each.name[:MAX_NAME], examples=each.examples, recall=each.recall, precision=each.precision)
        for each in judgement.classes[:MAX_CLASSES_REPORTED]
    )
    if len(judgement.confusion) <= MAX_CONFUSION:
        reply.confusion.extend(count for row in judgement.confusion for count in row)
    reply.baselines.extend(
        pb.Baseline(name=each.name, score=each.score, trivial=each.trivial) for each in held_out.baselines
    )
