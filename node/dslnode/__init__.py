"""dslnode: boards learn personal binary masks over one frozen random network, and exchange only masks.

The public API. Nothing heavy is loaded by ``import dslnode``: each name loads what it needs when it is used first
(PEP 562). ``docs/python-api.md`` describes the names, with examples.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dslnode.config.loader import load_settings
    from dslnode.config.settings import Settings
    from dslnode.data.dataset import DataSet, Examples, load_data_set
    from dslnode.data.partition import partition
    from dslnode.data.schema import Schema
    from dslnode.data.schema_file import read_schema
    from dslnode.data.target import Target
    from dslnode.errors import (
        DataError,
        DslnodeError,
        ExitCode,
        ListenError,
        ModelError,
        PeerError,
        SettingsError,
        StateError,
        UnreachableError,
    )
    from dslnode.inference.predictor import Predictions, Predictor, load_model
    from dslnode.learning.learner import Learner
    from dslnode.learning.options import InitializationOptions, TrainingOptions
    from dslnode.learning.tasks.task import LearningTask
    from dslnode.protocol.events import NeighbourMasks
    from dslnode.protocol.mask import Mask, MaskLayout
    from dslnode.runtime.node import Node
    from dslnode.runtime.node_events import PeerDown, PeerUp, RoundFinished
    from dslnode.runtime.status_client import StatusClient

    __version__: str

_HOMES = {
    "load_settings": "config.loader",
    "Settings": "config.settings",
    "DataSet": "data.dataset",
    "Examples": "data.dataset",
    "load_data_set": "data.dataset",
    "partition": "data.partition",
    "Schema": "data.schema",
    "read_schema": "data.schema_file",
    "Target": "data.target",
    "DataError": "errors",
    "DslnodeError": "errors",
    "ExitCode": "errors",
    "ListenError": "errors",
    "ModelError": "errors",
    "PeerError": "errors",
    "SettingsError": "errors",
    "StateError": "errors",
    "UnreachableError": "errors",
    "Predictions": "inference.predictor",
    "Predictor": "inference.predictor",
    "load_model": "inference.predictor",
    "Learner": "learning.learner",
    "InitializationOptions": "learning.options",
    "TrainingOptions": "learning.options",
    "LearningTask": "learning.tasks.task",
    "NeighbourMasks": "protocol.events",
    "Mask": "protocol.mask",
    "MaskLayout": "protocol.mask",
    "Node": "runtime.node",
    "PeerDown": "runtime.node_events",
    "PeerUp": "runtime.node_events",
    "RoundFinished": "runtime.node_events",
    "StatusClient": "runtime.status_client",
}
"""The module, below this package, in which each public name lives."""

__all__ = [
    "DataError",
    "DataSet",
    "DslnodeError",
    "Examples",
    "ExitCode",
    "InitializationOptions",
    "Learner",
    "LearningTask",
    "ListenError",
    "Mask",
    "MaskLayout",
    "ModelError",
    "NeighbourMasks",
    "Node",
    "PeerDown",
    "PeerError",
    "PeerUp",
    "Predictions",
    "Predictor",
    "RoundFinished",
    "Schema",
    "Settings",
    "SettingsError",
    "StateError",
    "StatusClient",
    "Target",
    "TrainingOptions",
    "UnreachableError",
    "__version__",
    "load_data_set",
    "load_model",
    "load_settings",
    "partition",
    "read_schema",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = _version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"dslnode.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'dslnode' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dslnode")
    except PackageNotFoundError:  # a bare checkout on the path
        return "0+unknown"
