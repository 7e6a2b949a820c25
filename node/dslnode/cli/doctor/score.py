"""How good the model of a node that runs is, against what anybody could predict."""

from __future__ import annotations

from dslnode.cli.doctor.findings import Finding, ok, warning
from dslnode.telemetry.score_status import score_text, unbeaten
from dslnode.v1 import node_pb2 as pb


def check_score(reply: pb.StatusReply) -> list[Finding]:
    """Compare the running node's held-out score with its baselines; nothing before it has measured one."""
    if not reply.HasField("score"):
        return []
    name, score = reply.score_name, score_text(reply.score_name, reply.score)
    trivial = unbeaten(reply)
    if trivial is None:
        return [ok("score", f"the running node has {name} {score} after round {reply.round}")]
    what = (
        f"the running node has {name} {score} after round {reply.round}, "
        f"no better than a trivial predictor ({trivial.name} {score_text(name, trivial.score)})"
    )
    return [warning("score", what, "give it more examples or rounds, or look whether the inputs say anything about it")]
