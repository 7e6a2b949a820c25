"""Every setting of a node, with its meaning, unit and default: the one place that documents them all.

The groups are in modules of their own. ``sources`` layers command line over environment over file over preset over
these defaults.
"""

from __future__ import annotations

from dslnode.learning_settings import DataSettings, LearningSettings
from dslnode.node_settings import NodeSettings
from dslnode.setting_types import ADDRESS, check_address

__all__ = ["ADDRESS", "Settings", "check_address", "describe"]


class Settings(LearningSettings, DataSettings, NodeSettings):
    """The effective settings of one node."""


def describe(field: str) -> str:
    """Return a setting's documentation line."""
    return Settings.model_fields[field].description or ""
