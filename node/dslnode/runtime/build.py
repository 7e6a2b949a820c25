"""From settings to a learner: loads the data, cuts this node's slice, builds the model."""

from __future__ import annotations

import hashlib
from dataclasses import fields

from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet
from dslnode.data.node_part import load_node_part
from dslnode.data.partition import PartitionSpec, parse_share, parse_split
from dslnode.data.schema import Schema
from dslnode.data.schema_file import read_schema
from dslnode.data.target import Task
from dslnode.data.task_choice import with_task
from dslnode.learning.learner import Learner
from dslnode.learning.model_building import build_model
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.learning.pretrained import PretrainedNetwork, read_pretrained
from dslnode.protocol.round_machine import RoundMachine


def node_data(settings: Settings) -> DataSet:
    """Return the part of the data set that this node holds, train and held-out."""
    data = load_node_part(
        settings.data,
        partition_spec(settings),
        held_out_fraction=settings.held_out_fraction,
        class_count=settings.class_count,
        schema=given_schema(settings),
        task=built_in_task(settings),
    )
    return with_task(data, settings.task)


def given_schema(settings: Settings) -> Schema | None:
    """Return the schema of the data, if the settings name one. Raises ``DataError``."""
    return read_schema(settings.schema) if settings.schema else None


def built_in_task(settings: Settings) -> str:
    """Return the task by which data are read; empty if the settings name none, or one of the user's own."""
    return settings.task if settings.task in set(Task) else ""


def partition_spec(settings: Settings) -> PartitionSpec:
    """Return which part of the data set the node holds."""
    return PartitionSpec(
        classes=settings.classes or None,
        share=parse_share(settings.share),
        split=parse_split(settings.split),
        samples_per_class=settings.samples_per_class,
        seed=settings.seed,
    )


def training_options(settings: Settings) -> TrainingOptions:
    """Return how the node trains: the settings of the same names."""
    return TrainingOptions(**{field.name: getattr(settings, field.name) for field in fields(TrainingOptions)})


def initialization_options(settings: Settings) -> InitializationOptions:
    """Return what the node starts from; its own random numbers follow from the seed and its name."""
    own = hashlib.blake2b(f"{settings.seed} {settings.name}".encode(), digest_size=7).digest()
    seeds = {"network_seed": settings.seed, "node_seed": int.from_bytes(own, "little")}
    names = {field.name for field in fields(InitializationOptions)} - seeds.keys()
    given = {name: getattr(settings, name) for name in names}
    ratios = tuple(settings.layer_keep_ratios.items())
    return InitializationOptions(**{**given, **seeds, "layer_keep_ratios": ratios})


def round_machine(settings: Settings) -> RoundMachine:
    """Return the machine of a node's rounds, before the first one."""
    return RoundMachine(
        limit=settings.rounds,
        max_staleness=settings.max_staleness,
        exchange=settings.exchange,
        max_lead=settings.max_lead,
    )


def build_alone(settings: Settings, learner: Learner) -> Learner | None:
    """Return a learner that starts as ``learner`` does and draws the same minibatches; None unless that is asked for.

    It shares the examples with it, and nothing else.
    """
    if not settings.shadow_alone:
        return None
    model = build_model(settings.model, learner.data, settings.seed)
    start = initialization_options(settings)
    return Learner(model, learner.data, learner.options, start, pretrained=learner.pretrained)


def build_learner(settings: Settings) -> Learner:
    """Return the node's learner. Raises ``DataError``, ``ModelError`` or ``SettingsError``, saying what to fix."""
    data = node_data(settings)
    model = build_model(settings.model, data, settings.seed)
    pretrained = pretrained_network(settings)
    return Learner(model, data, training_options(settings), initialization_options(settings), pretrained=pretrained)


def pretrained_network(settings: Settings) -> PretrainedNetwork | None:
    """Return the network of ``--frozen``, if there is one. Raises ``ModelError``."""
    return None if settings.frozen is None else read_pretrained(settings.frozen)
