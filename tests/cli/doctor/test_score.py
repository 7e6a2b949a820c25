"""The score of a node that runs, against what anybody could predict."""

from __future__ import annotations

from dslnode.cli.doctor.findings import Level
from dslnode.cli.doctor.score import check_score
from dslnode.v1 import node_pb2 as pb

MEAN = pb.Baseline(name="mean", score=0.1, trivial=True)
LINEAR = pb.Baseline(name="linear", score=0.7)


def test_a_node_that_beats_what_is_trivial_is_well_whatever_a_line_does() -> None:
    [found] = check_score(pb.StatusReply(round=12, score=0.5, score_name="R2", baselines=[MEAN, LINEAR]))
    assert (found.level, found.what) == (Level.OK, "the running node has R2 0.500 after round 12")


def test_a_node_that_does_not_is_a_warning() -> None:
    [found] = check_score(pb.StatusReply(round=12, score=0.1, score_name="R2", baselines=[MEAN, LINEAR]))
    assert found.level is Level.WARNING
    assert "no better than a trivial predictor (mean 0.100)" in found.what
    assert found.fix


def test_without_a_measurement_there_is_nothing_to_say() -> None:
    assert check_score(pb.StatusReply(round=1, baselines=[MEAN])) == []
