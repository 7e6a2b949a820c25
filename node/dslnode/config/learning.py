"""The settings of learning: which data, which model, and how masks are learned and exchanged."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from dslnode.config.types import Classes, Ratio, Ratios, SettingsGroup
from dslnode.data.target import Task
from dslnode.learning.options import (
    DEFAULT_INITIALIZATION,
    DEFAULT_TRAINING,
    POWER_OF_FORM,
    Device,
    FineTuning,
    Keep,
    Personal,
    RobustAggregation,
    StepRule,
    UnevenClasses,
)
from dslnode.protocol.messages import Exchange

MAX_RATE = 1e6
"""Of what scores are multiplied with or moved by in a step: far above what is of use, and far below float32's end."""


class DataSettings(SettingsGroup):
    """The node's part of a data set."""

    data: str = Field(
        "digits",
        description="Data set: digits, csv:FILE, jsonl:FILE, parquet:FILE, sqlite:FILE, images:DIR, audio:DIR, "
        "npz:FILE, idx:DIR, cifar10:DIR or module:function. Options follow a question mark: csv:FILE?target=state.",
    )
    class_count: int | None = Field(
        None,
        ge=2,
        description="Number of classes of the whole run, if this node's own data lack the last ones. "
        "Default: the classes of the data set.",
    )
    classes: Classes = Field((), description="Keep only these classes, as 0,3,7. Default: all.")
    share: str = Field(
        "1/1", pattern=r"^[0-9]{1,9}/[0-9]{1,9}$", description="Take the i-th of n disjoint shares, as i/n."
    )
    split: str = Field(
        "even",
        description="How shares are drawn: even, classes:C (C classes per node) or dirichlet:A (smaller: less equal).",
    )
    samples_per_class: int | None = Field(
        None, ge=1, description="Train on at most this many examples of each class. Default: all."
    )
    held_out_fraction: float = Field(
        0.2, gt=0, lt=1, description="Part of the examples held out, if the data set names none itself."
    )
    task: str = Field(
        "",
        description="What is learned: classification, multilabel, regression, forecast, anomaly or module:Task. "
        "Default: what the data set is for. The same on all nodes.",
    )

    @field_validator("task")
    @classmethod
    def _task(cls, value: str) -> str:
        if value and value not in tuple(Task) and ":" not in value:
            raise ValueError(f"is none of {', '.join(Task)} and module:Task")
        return value

    @field_validator("share")
    @classmethod
    def _share(cls, value: str) -> str:
        index, count = map(int, value.split("/"))
        if not 1 <= index <= count:
            raise ValueError("the first number goes from 1 to the second, as 2/3")
        return value


with warnings.catch_warnings(action="ignore"):  # the name was a method of pydantic's models once, which nobody calls

    class SchemaSettings(SettingsGroup):
        """The schema of a node's data."""

        schema: str = Field(  # type: ignore[assignment]
            "",
            description="File with the schema of the data, as `dslnode data describe` writes it. The same on all "
            "nodes. Default: none; a node makes its own from its data.",
        )


class LearningSettings(SettingsGroup):
    """Model, scores, aggregation and exchange."""

    model: str = Field(
        "auto",
        description="Model: mlp, cnn, alexnet, cnn1d, gru, autoencoder or module:function; auto takes cnn1d for series "
        "(steps, features), autoencoder for anomalies, else mlp. The same on all nodes.",
    )
    seed: int = Field(
        DEFAULT_INITIALIZATION.network_seed,
        ge=0,
        lt=2**63,
        description="Seed of the frozen network and of the shares. The same on all nodes.",
    )
    frozen: Path | None = Field(
        None,
        description="File of a pretrained network, whose weights take the place of seeded ones (dslnode freeze makes "
        "it). The same on all nodes. Default: none.",
    )
    pretrained_keep_ratio: Ratio = Field(
        DEFAULT_INITIALIZATION.pretrained_keep_ratio,
        description="Keep ratio of the layers of a pretrained network, where layer_keep_ratios says nothing else.",
    )
    keep_ratio: Ratio = Field(
        DEFAULT_INITIALIZATION.keep_ratio, description="Fraction of each layer's weights that the mask keeps."
    )
    linear_keep_ratio: Ratio | None = Field(
        DEFAULT_INITIALIZATION.linear_keep_ratio, description="Keep ratio of linear layers. Default: keep_ratio."
    )
    layer_keep_ratios: Ratios = Field(
        {},
        description="Keep ratios by layer name, as PATTERN=RATIO,...; the first match wins over the others.",
    )

    algorithm: Literal["default", "authors"] = Field(
        "default", description="Preset of the settings below; authors is the paper's released configuration."
    )
    exchange: Exchange = Field(
        Exchange.SIGN,
        description="Masks that nodes send: keep masks, as in the paper; sign masks, from which scores and masks of "
        "neighbours follow; or both. The same on all nodes.",
    )
    consensus_step_size: float = Field(
        DEFAULT_TRAINING.consensus_step_size,
        ge=0,
        le=1,
        description="How far scores move to the neighbours' with each sign mask. Less for nodes with many examples.",
    )
    adaptive_collaboration: bool = Field(
        DEFAULT_TRAINING.adaptive_collaboration,
        description="Rely less on neighbours while their masks make the personal model worse on held-out data.",
    )
    robust_aggregation: RobustAggregation = Field(
        DEFAULT_TRAINING.robust_aggregation,
        description="Guard against malicious neighbours: clipped (none pulls further than the median neighbour, and "
        "those that contradict the others are left out) or off.",
    )
    send_threshold: float = Field(
        DEFAULT_TRAINING.send_threshold,
        ge=0,
        lt=1,
        description="Send a neighbour nothing while it lacks at most this part of what the node learned since its "
        "start. Larger: fewer bits, neighbours know less. 0: send every change.",
    )
    weights_per_score: int = Field(
        DEFAULT_INITIALIZATION.weights_per_score,
        ge=1,
        le=1_000,
        description="Weights of a large layer that share a score. Larger: fewer bits in sign masks, less to overfit. "
        "The same on all nodes.",
    )
    local_steps: int = Field(
        DEFAULT_TRAINING.local_steps,
        ge=1,
        le=100_000,
        description="Minibatches per round. More: fewer bits, neighbours further apart.",
    )
    batch_size: int = Field(DEFAULT_TRAINING.batch_size, ge=1, le=65_536, description="Examples per minibatch.")
    alpha: float = Field(
        DEFAULT_TRAINING.alpha,
        ge=0,
        le=1000,
        description="Aggregation strength; larger relies more on the neighbours, 0 ignores them.",
    )
    mask_novelty: bool = Field(
        DEFAULT_TRAINING.mask_novelty,
        description="Aggregate how masks differ from the one that all started from; off: plain masks, as in the paper.",
    )
    score_ema_decay: float = Field(
        DEFAULT_TRAINING.score_ema_decay,
        ge=0,
        lt=1,
        description="Decay per step of the averaged scores, from which the mask follows. Larger: steadier; an average "
        "over much longer than a round is stale where neighbours pull hard. 0: the newest scores, as in the paper.",
    )
    mean_ema_decay: float = Field(
        DEFAULT_TRAINING.mean_ema_decay,
        ge=0,
        lt=1,
        description="Decay of the neighbour mean when masks arrive. Larger: steadier.",
    )
    own_classes: bool = Field(
        DEFAULT_INITIALIZATION.own_classes,
        description="Train and answer over the node's own classes only; off: over all classes of the run.",
    )
    uneven_classes: UnevenClasses = Field(
        DEFAULT_TRAINING.uneven_classes,
        description="What the node answers for, and is judged by, where it has more than twice as many examples of one "
        "class as of another: every class alike, however rare (alike; balanced accuracy), or examples of which each "
        "class is as frequent as in the node's own data (by_frequency; accuracy).",
    )
    device: Device = Field(
        DEFAULT_TRAINING.device,
        description="Where the network runs: cpu, cuda or mps. What nodes exchange is the same on all.",
    )
    step_rule: StepRule = Field(
        DEFAULT_TRAINING.step_rule,
        description="How the scores step: adam, scaled to each layer's scores, or momentum, as in the paper.",
    )
    learning_rate: float = Field(
        DEFAULT_TRAINING.learning_rate,
        gt=0,
        le=MAX_RATE,
        description="Learning rate of the scores; for adam relative to their size, for momentum absolute.",
    )
    lr_decay_after_steps: int = Field(
        DEFAULT_TRAINING.lr_decay_after_steps,
        ge=0,
        description="Steps after which adam's rate falls with the root of their number, so that a node settles and "
        "sends less. 0: it never falls.",
    )
    momentum: float = Field(DEFAULT_TRAINING.momentum, ge=0, lt=1, description="Momentum of the scores' steps.")
    weight_decay: float = Field(
        DEFAULT_TRAINING.weight_decay, ge=0, le=MAX_RATE, description="Weight decay of the scores."
    )
    mask_power: float | None = Field(
        DEFAULT_TRAINING.mask_power,
        ge=0,
        le=2,
        description="Graded training: how much a kept weight counts grows with this power of its score above the "
        "threshold. 0: all kept weights count alike, as in the paper. Pretrained layers always do, and "
        "convolutions where personal is binary. "
        f"Default: {POWER_OF_FORM['levels']:g}, for a binary personal model {POWER_OF_FORM['binary']:g}.",
    )
    signed_scores: bool = Field(
        DEFAULT_TRAINING.signed_scores, description="Rank the scores themselves; off: their size, as in the paper."
    )
    shared_scores: bool = Field(
        DEFAULT_INITIALIZATION.shared_scores, description="Start all nodes from the same scores, drawn from the seed."
    )
    scale_kept: bool = Field(
        DEFAULT_INITIALIZATION.scale_kept,
        description="Scale frozen weights for the keep ratio; off: the framework's default scale.",
    )
    random_first_mean: bool = Field(
        DEFAULT_INITIALIZATION.random_first_mean,
        description="Start with a random neighbour mean, as the authors do; off: with none.",
    )
    shadow_alone: bool = Field(
        False,
        description="Train a second mask without neighbours on the same minibatches, to measure what they bring. "
        "Costs as much time and memory for learning again.",
    )
    personal: Personal = Field(
        DEFAULT_TRAINING.personal,
        description="Form of the personal model: the mask alone (binary), with strengths of the kept weights in seven "
        "levels (levels), or finer ones (graded). Strengths are never sent, and come of mask_power.",
    )
    keep: Keep = Field(
        DEFAULT_TRAINING.keep,
        description="Model to keep and export: the best by held-out score, smoothed against noise, or that of the last "
        "round. The node goes on learning from the last round.",
    )
    fine_tuning: FineTuning = Field(
        DEFAULT_TRAINING.fine_tuning,
        description="Personalised fine-tuning: with the last gradient (stale) or a new one (fresh).",
    )
    fine_tuning_rate: float = Field(
        DEFAULT_TRAINING.fine_tuning_rate, ge=0, le=MAX_RATE, description="Learning rate of the fine-tuning step."
    )
    group_lasso: float = Field(
        DEFAULT_TRAINING.group_lasso,
        ge=0,
        le=MAX_RATE,
        description="Group lasso: an output channel shrinks, in the end to nothing, unless it lowers the loss by more "
        "than this per unit of its scale. Larger: more channels die; begin with 0.003. 0: off.",
    )
    min_channel_fraction: float = Field(
        DEFAULT_TRAINING.min_channel_fraction,
        ge=0,
        le=1,
        description="Drop channels that keep less than this part of keep ratio x fan-in; 0: off.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> LearningSettings:
        shared = self.signed_scores and self.shared_scores
        if self.exchange is not Exchange.KEEP and not shared:
            raise ValueError("sign masks need signed_scores and shared_scores; set exchange to keep, or both to true")
        if self.mask_power and not self.signed_scores:
            raise ValueError("mask_power needs signed_scores; set mask_power to 0, or signed_scores to true")
        if self.weights_per_score > 1 and not shared:
            raise ValueError("weights_per_score above 1 needs signed_scores and shared_scores; set it to 1")
        if self.mask_novelty and not shared:
            raise ValueError(
                "mask_novelty needs signed_scores and shared_scores; set mask_novelty to false, or both to true"
            )
        return self
