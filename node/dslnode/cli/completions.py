"""What a shell may offer as the value of a setting."""

from __future__ import annotations

from enum import Enum
from typing import Literal, get_args, get_origin

from dslnode.config.settings import Settings

WELL_KNOWN = {
    "data": ("digits", "idx:", "npz:", "images:", "csv:", "cifar10:"),
    "model": ("mlp", "cnn", "alexnet"),
    "split": ("even", "classes:", "dirichlet:"),
    "metrics": ("off",),
}
"""Values, or their beginnings, of settings that take others, too."""


def is_closed(name: str) -> bool:
    """Return whether a setting takes the values that ``choices`` names, and no others."""
    return bool(_closed(name))


def choices(name: str) -> tuple[str, ...]:
    """Return values of a setting to choose from; none where anything goes."""
    return _closed(name) or WELL_KNOWN.get(name, ())


def _closed(name: str) -> tuple[str, ...]:
    kind = Settings.model_fields[name].annotation
    if get_origin(kind) is Literal:
        return tuple(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(one.value) for one in kind)
    return ()
