"""Every setting of a node, with its meaning, unit and default: the one place that documents them all.

``sources`` layers command line over environment over file over preset over these defaults.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from dslnode.mask import Exchange

ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):([0-9]{1,5})")


def check_address(address: str) -> str:
    """Return ``HOST:PORT`` unchanged, or raise ``ValueError``."""
    match = ADDRESS.fullmatch(address)
    if match is None or int(match[2]) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT (an IPv6 host goes in brackets)")
    return address


def _host_name() -> str:
    return socket.gethostname()


def _split_list(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _split_table(value: object) -> object:
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(name.strip() and equals for name, equals, _ in pairs):
            raise ValueError("is not of the form PATTERN=RATIO,PATTERN=RATIO")
        return {name.strip(): ratio for name, _, ratio in pairs}
    return value


Ratio = Annotated[float, Field(gt=0, le=1)]
Addresses = Annotated[tuple[str, ...], BeforeValidator(_split_list)]
Classes = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_split_list)]
Ratios = Annotated[dict[str, Ratio], BeforeValidator(_split_table)]


class Settings(BaseModel):
    """The effective settings of one node."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    name: str = Field(
        default_factory=_host_name,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of this node for people, in logs and metrics. Default: the host's name.",
    )
    run_id: str = Field(
        "default",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of the run; nodes of different runs refuse each other.",
    )
    listen: str = Field("0.0.0.0:7711", description="HOST:PORT to accept neighbours on.")
    advertise: str = Field(
        "",
        description="HOST:PORT at which neighbours can dial this node. Default: empty, this node is not told of.",
    )
    peers: Addresses = Field((), max_length=100, description="HOST:PORT,HOST:PORT,... of neighbours to dial.")
    metrics: str = Field("127.0.0.1:9464", description="HOST:PORT to serve Prometheus metrics on; 'off' serves none.")
    state_dir: Path | None = Field(
        None, description="Directory that keeps what was learned over restarts. Default: nothing is kept."
    )

    data: str = Field(
        "digits",
        description="Data set: digits, idx:DIR, npz:FILE, images:DIR, csv:FILE, cifar10:DIR or module:function.",
    )
    class_count: int | None = Field(
        None,
        ge=2,
        description="Number of classes of the whole run, where this node's own data lack the last ones. "
        "Default: as many as the data set has.",
    )
    classes: Classes = Field((), description="Keep only these classes, as 0,3,7. Default: all.")
    share: str = Field(
        "1/1", pattern=r"^[0-9]{1,9}/[0-9]{1,9}$", description="Take the i-th of n disjoint shares, as i/n."
    )
    split: str = Field(
        "even",
        description="How shares are drawn: even, classes:C (C classes a node) or dirichlet:A (smaller: more unlike).",
    )
    samples_per_class: int | None = Field(
        None, ge=1, description="Train on at most this many examples of each class. Default: all."
    )
    held_out_fraction: float = Field(
        0.2, gt=0, lt=1, description="Part of the examples held out, if the data set names none itself."
    )

    model: str = Field("mlp", description="Model: mlp, cnn, alexnet or module:function. The same on all nodes.")
    seed: int = Field(
        1, ge=0, lt=2**63, description="Seed of the frozen network and of the shares. The same on all nodes."
    )
    keep_ratio: Ratio = Field(0.3, description="Fraction of each layer's weights that the mask keeps.")
    linear_keep_ratio: Ratio | None = Field(None, description="Keep ratio of linear layers. Default: as keep_ratio.")
    layer_keep_ratios: Ratios = Field(
        {},
        description="Keep ratios by layer name, as PATTERN=RATIO,...; the first match wins over the others.",
    )

    algorithm: Literal["default", "authors"] = Field(
        "default", description="Preset of the settings below; authors is the paper's released configuration."
    )
    exchange: Exchange = Field(
        Exchange.SIGN,
        description="What nodes send: keep masks, as the paper; sign masks, from which scores and masks of neighbours "
        "follow; or both. The same on all nodes.",
    )
    consensus: float = Field(
        0.65,
        ge=0,
        le=1,
        description="How far scores move to the neighbours' with each sign mask; less, the more examples a node has.",
    )
    weights_per_score: int = Field(
        4,
        ge=1,
        le=1_000,
        description="Weights of a large layer that share a score. More: fewer bits in sign masks, less to overfit. "
        "The same on all nodes.",
    )
    local_steps: int = Field(
        30, ge=1, le=100_000, description="Minibatches a round. More: fewer bits, neighbours further apart."
    )
    batch_size: int = Field(32, ge=1, le=65_536, description="Examples a minibatch.")
    alpha: float = Field(
        2.0,
        ge=0,
        le=1000,
        description="Aggregation strength; larger leans more on the neighbours, 0 ignores them.",
    )
    novelty: bool = Field(
        True,
        description="Aggregate what masks say beyond the one that all started from; off: plain masks, as the paper.",
    )
    mean_memory: float = Field(
        0.5, ge=0, lt=1, description="Part of the old neighbour mean that stays when masks arrive. Larger: steadier."
    )
    own_classes: bool = Field(
        True, description="Train and answer over the node's own classes only; off: over all classes of the run."
    )
    step_rule: Literal["adam", "momentum"] = Field(
        "adam", description="How the scores step: adam, scaled to each layer's scores, or momentum, as the paper does."
    )
    rate: float = Field(
        0.03, gt=0, description="Learning rate of the scores; for adam relative to their size, for momentum absolute."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of the scores' steps.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay of the scores.")
    signed_scores: bool = Field(True, description="Rank the scores themselves; off: their size, as the paper does.")
    shared_scores: bool = Field(True, description="Start all nodes from the same scores, drawn from the seed.")
    scale_kept: bool = Field(
        True, description="Scale frozen weights for the keep ratio; off: the framework's default scale."
    )
    random_first_mean: bool = Field(
        False, description="Begin with a random neighbour mean, as the authors do; off: with none."
    )
    fine_tuning: Literal["off", "stale", "fresh"] = Field(
        "off", description="Personalised fine-tuning: with the last gradient (stale) or a new one (fresh)."
    )
    fine_tuning_rate: float = Field(10.0, ge=0, description="Learning rate of the fine-tuning step.")
    group_lasso: float = Field(0.0, ge=0, description="Group lasso strength; larger: more channels die. 0: off.")
    thin_channel: float = Field(
        0.0, ge=0, le=1, description="Drop channels that keep less than this part of keep ratio x fan-in; 0: off."
    )

    rounds: int = Field(0, ge=0, lt=2**31, description="Rounds to do in all, then end; 0: until stopped.")
    wait_for_peers: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Seconds to wait for as many neighbours as there are peers before the first round. "
        "0: begin at once, alone if need be.",
    )
    round_deadline: float = Field(
        10.0, gt=0, le=86_400, description="Seconds that a round waits for neighbours after local training."
    )
    max_staleness: int = Field(10, ge=0, description="Rounds for which a silent neighbour's mask is still used.")
    evaluate_every: int = Field(5, ge=1, description="Measure the held-out accuracy every so many rounds.")
    threads: int = Field(1, ge=1, le=1024, description="Processor threads for training.")
    log_format: Literal["text", "json"] = Field("text", description="Log for people (text) or machines (json).")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log shown.")

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        return check_address(value)

    @field_validator("advertise")
    @classmethod
    def _advertise(cls, value: str) -> str:
        return check_address(value) if value else value

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, value: str) -> str:
        return value if value == "off" else check_address(value)

    @field_validator("peers")
    @classmethod
    def _peers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(check_address(peer) for peer in value))

    @field_validator("state_dir", mode="before")
    @classmethod
    def _state_dir(cls, value: object) -> object:
        if value == "":
            raise ValueError("is empty; name a directory, or leave it out to keep nothing")
        return value

    @field_validator("share")
    @classmethod
    def _share(cls, value: str) -> str:
        index, count = map(int, value.split("/"))
        if not 1 <= index <= count:
            raise ValueError("the first number goes from 1 to the second")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        shared = self.signed_scores and self.shared_scores
        if self.exchange is not Exchange.KEEP and not shared:
            raise ValueError("sign masks need signed_scores and shared_scores; set exchange to keep, or both to true")
        if self.weights_per_score > 1 and not shared:
            raise ValueError("weights_per_score above 1 needs signed_scores and shared_scores; set it to 1")
        if self.weights_per_score > 1 and self.group_lasso:
            raise ValueError("group_lasso needs weights_per_score 1: it shrinks the scores of one channel together")
        if self.novelty and not shared:
            raise ValueError("novelty needs signed_scores and shared_scores; set novelty to false, or both to true")
        return self


def describe(field: str) -> str:
    """Return a setting's documentation line."""
    return Settings.model_fields[field].description or ""
