"""Values of settings that shell completion offers."""

from __future__ import annotations

from enum import Enum
from typing import Literal, get_args, get_origin

from dslnode.config.settings import Settings
from dslnode.data.target import Task

WELL_KNOWN = {
    "data": (
        *("digits", "csv:", "jsonl:", "parquet:", "sqlite:"),
        *("images:", "audio:", "npz:", "idx:", "cifar10:"),
    ),
    "model": ("auto", "mlp", "cnn", "alexnet", "cnn1d", "gru", "autoencoder"),
    "task": tuple(Task),
    "split": ("even", "classes:", "dirichlet:"),
    "metrics": ("off",),
}
"""Values, or prefixes of values, of settings that take others, too."""


def is_closed(name: str) -> bool:
    """Return whether a setting takes no values but those of ``choices``."""
    return bool(_closed(name))


def choices(name: str) -> tuple[str, ...]:
    """Return values to offer for a setting; empty if any text may be valid."""
    return _closed(name) or WELL_KNOWN.get(name, ())


def _closed(name: str) -> tuple[str, ...]:
    value_type = Settings.model_fields[name].annotation
    if get_origin(value_type) is Literal:
        return tuple(map(str, get_args(value_type)))
    if isinstance(value_type, type) and issubclass(value_type, Enum):
        return tuple(str(member.value) for member in value_type)
    return ()
