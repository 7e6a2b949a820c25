"""How a node learns, as values; without torch, so that settings can have their defaults from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class RobustAggregation(StrEnum):
    """How a node guards what it learns from neighbours that lie, see ``robust``."""

    OFF = "off"  # everybody is believed
    CLIPPED = "clipped"  # nobody pulls further than the median neighbour; who contradicts the others is left out


FineTuning = Literal["off", "stale", "fresh"]


StepRule = Literal["adam", "momentum"]


@dataclass(frozen=True)
class TrainingOptions:
    """How one node trains its scores. The field comments say the unit and which way to tune."""

    local_steps: int = 30  # minibatches a round; more: fewer messages, masks drift further apart
    batch_size: int = 32  # images a minibatch
    step_rule: StepRule = "adam"
    rate: float = 0.06  # learning rate; adam: relative to each layer's score scale, momentum: absolute
    steady_steps: int = 400  # adam: steps after which the rate falls with the root of their number; 0: never
    momentum: float = 0.9
    weight_decay: float = 0.0
    signed: bool = True  # rank S itself (True) or |S| as the paper does
    alpha: float = 1.0  # aggregation strength; larger: closer to the neighbours
    novelty: bool = True  # aggregate what neighbours' masks say beyond the mask that all started from
    score_memory: float = 0.9  # part of the averaged scores that stays at each step; larger: steadier masks, later
    mean_memory: float = 0.5  # part of the old neighbour mean that stays when a new one comes
    consensus: float = 0.95  # how far scores move to the neighbours' replicas, less the more examples a node has
    adaptive_leaning: bool = True  # lean less on neighbours who make the personal model worse on held-out data
    robust_aggregation: RobustAggregation = RobustAggregation.OFF  # shorten and leave out pulls that stand alone
    skip_below: float = 0.2  # part of what was learned that neighbours may lack before a sign mask is sent
    group_lasso: float = 0.0  # lambda; adam: no unit, momentum: as the loss; larger: more output channels die
    thin_channel: float = 0.0  # structured step: drop channels that keep less than this part of their share; 0: off
    fine_tuning: FineTuning = "off"
    fine_tuning_rate: float = 10.0


@dataclass(frozen=True)
class InitializationOptions:
    """Where a node starts from. ``network_seed`` is shared by the run; ``node_seed`` is the node's own."""

    network_seed: int
    node_seed: int
    keep_ratio: float = 0.3
    linear_keep_ratio: float | None = None  # of layers with two dimensions; None: as keep_ratio
    layer_keep_ratios: tuple[tuple[str, float], ...] = ()  # (name pattern, ratio), the first match wins
    weights_per_score: int = 4  # weights of a large layer that share a score
    shared_scores: bool = True  # every node starts from the same seeded scores
    scale_kept: bool = True  # frozen weights scaled for the keep ratio; False: the framework's default scale
    random_first_mean: bool = False  # first neighbour mean is a Bernoulli draw, as the authors' is
    own_classes: bool = True  # train and answer over the classes of the node's own data only
