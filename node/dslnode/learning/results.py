"""What a round of learning gives, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dslnode.learning.judgement import Judgement
from dslnode.learning.options import Personal
from dslnode.protocol.mask import Mask


@dataclass(frozen=True)
class Baseline:
    """A predictor that anybody could make without this program, and its score on the same held-out examples.

    A ``trivial`` one does not look at the inputs, or no further than their last value.
    """

    name: str
    score: float
    trivial: bool


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """How good the personal model is on held-out examples: the score, higher is better, with its name and the rest.

    ``form`` is what the model is made of: binary, levels or graded.
    """

    name: str
    score: float
    judgement: Judgement
    form: Personal = "binary"
    baselines: tuple[Baseline, ...] = ()

    @property
    def threshold(self) -> float | None:
        """The error from which an example is an anomaly; None for other tasks."""
        return next((each.value for each in self.judgement.metrics if each.name == "threshold"), None)

    @property
    def unbeaten(self) -> Baseline | None:
        """The best trivial baseline if the model does not beat it, else None."""
        best = max((each for each in self.baselines if each.trivial), key=lambda each: each.score, default=None)
        return best if best is not None and self.score <= best.score else None


@dataclass(frozen=True)
class Progress:
    """Result of local training: mean loss a sample, and the task's score by name, over the minibatches seen."""

    loss: float
    score: float
    steps: int
    score_name: str


@dataclass(frozen=True)
class TrainedRound:
    """What local training gave: the mask to send, how it went, and the part of each layer's bits that flipped."""

    mask: Mask
    progress: Progress
    flips: Mapping[str, float]
    flipped: float  # of the whole mask's bits
    seconds: float


@dataclass(frozen=True)
class Best:
    """The best model so far, by the smoothed held-out score: after how many rounds, and its score as measured then.

    ``is_new`` says whether it is that of the present round.
    """

    round: int
    score: float
    is_new: bool


@dataclass(frozen=True)
class AggregatedRound:
    """What aggregation gave: the neighbours' masks, and how good the personal model is on held-out data if measured.

    ``collaboration_weight``, 0 to 1, is how far the node leans on its neighbours from now on.
    ``best`` is the best model so far, if one is kept, ``alone`` the held-out score of a mask that is trained without
    neighbours, if there is one and it was measured. ``restarts`` counts how often replicas of scores were reset since
    the node's start.
    """

    masks: Mapping[str, Mask]
    held_out: HeldOut | None
    collaboration_weight: float
    restarts: int
    seconds: float
    best: Best | None = None
    alone: float | None = None
