"""How a node learns, as values: each hyper-parameter and its default, here and nowhere else. Needs no torch.

The settings take their defaults from here; what each one means, and which way to tune it, is said there
(``config.learning``) and by ``dslnode config --show``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

FineTuning = Literal["off", "stale", "fresh"]
Keep = Literal["best", "last"]
Device = Literal["cpu", "cuda", "mps"]
Personal = Literal["binary", "levels", "graded"]
StepRule = Literal["adam", "momentum"]
UnevenClasses = Literal["alike", "by_frequency"]


POWER_OF_FORM: dict[Personal, float] = {"binary": 0.125, "levels": 0.5, "graded": 0.5}
"""The more strengths differ in training, the more their mean with the neighbours' is worth, and the mask alone less."""


class RobustAggregation(StrEnum):
    """How a node guards what it learns from neighbours that lie, see ``robust_aggregation``."""

    OFF = "off"  # every neighbour counts in full
    CLIPPED = "clipped"  # no pull is longer than the median neighbour's; cosine outliers are left out


@dataclass(frozen=True)
class TrainingOptions:
    """How one node trains its scores and aggregates those of its neighbours."""

    local_steps: int = 10  # minibatches per round
    batch_size: int = 32  # examples per minibatch
    device: Device = "cpu"  # where the network runs; all else stays on the CPU
    step_rule: StepRule = "adam"
    learning_rate: float = 0.1  # adam: relative to each layer's score scale; momentum: absolute
    lr_decay_after_steps: int = 400  # adam: the rate then falls with the root of the number of steps; 0: never
    momentum: float = 0.9
    weight_decay: float = 0.0
    mask_power: float | None = None  # of graded training; 0: binary, as the paper; None: by the form, see power
    signed_scores: bool = True  # rank S itself (True), or |S| as the paper does
    alpha: float = 1.0  # aggregation strength, the paper's alpha
    mask_novelty: bool = True  # aggregate what masks say beyond the initial mask; False: plain masks, as the paper
    score_ema_decay: float = 0.9  # of the averaged scores, from which the mask follows; 0: the newest scores
    mean_ema_decay: float = 0.5  # of the neighbour mean m
    consensus_step_size: float = 0.95  # gamma of CHOCO-SGD, less the more examples a node has
    adaptive_collaboration: bool = True  # lean less on neighbours that make the personal model worse
    robust_aggregation: RobustAggregation = RobustAggregation.OFF
    send_threshold: float = 0.2  # part of what was learned that a neighbour may lack before it is sent a mask
    group_lasso: float = 0.0  # lambda, in units of the loss per unit of a channel's scale; 0: off
    min_channel_fraction: float = 0.0  # drop channels that keep less than this part of their share; 0: off
    personal: Personal = "levels"  # what answers and is exported: the mask alone, or strengths with it
    uneven_classes: UnevenClasses = "alike"  # what answers and score are for where classes are uneven
    keep: Keep = "best"  # the model that is exported: the best by held-out score, or that of the last round
    fine_tuning: FineTuning = "off"
    fine_tuning_rate: float = 10.0  # the paper's eta_f

    @property
    def power(self) -> float:
        """The power of graded training: ``mask_power``, or what is best for the personal model's form.

        Strengths are powers of signed scores: where their sizes are ranked, as in the paper, training is binary.
        """
        if self.mask_power is not None:
            return self.mask_power
        return POWER_OF_FORM[self.personal] if self.signed_scores else 0.0

    @property
    def whole_channels(self) -> bool:
        """Whether a channel counts in full or not at all: a personal model without strengths has no scales."""
        return self.personal == "binary"


@dataclass(frozen=True)
class InitializationOptions:
    """What a node starts from. ``network_seed`` is shared by the run, ``node_seed`` is the node's own."""

    network_seed: int
    node_seed: int
    keep_ratio: float = 0.3  # the paper's k
    linear_keep_ratio: float | None = None  # of layers with two dimensions; None: as keep_ratio
    layer_keep_ratios: tuple[tuple[str, float], ...] = ()  # (name pattern, ratio), the first match wins
    pretrained_keep_ratio: float = 0.8  # of layers of a pretrained network, where no pattern says otherwise
    weights_per_score: int = 14  # weights of a large layer that share a score
    shared_scores: bool = True  # every node starts from the same seeded scores
    scale_kept: bool = True  # frozen weights scaled for the keep ratio; False: the framework's default scale
    random_first_mean: bool = False  # the first neighbour mean is a Bernoulli draw, as the authors' is
    own_classes: bool = True  # train and answer over the classes of the node's own data only


DEFAULT_TRAINING = TrainingOptions()
DEFAULT_INITIALIZATION = InitializationOptions(network_seed=1, node_seed=0)
