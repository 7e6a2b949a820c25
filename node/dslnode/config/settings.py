"""Every setting of a node with its meaning, unit and default. All documentation of settings comes from here.

The groups are in modules of their own. ``loader`` layers command line over environment over file over preset over
these defaults.
"""

from __future__ import annotations

from dslnode.config.learning import DataSettings, LearningSettings, SchemaSettings
from dslnode.config.node import NodeSettings


class Settings(LearningSettings, SchemaSettings, DataSettings, NodeSettings):
    """The effective settings of one node."""


SECTIONS = {
    "name": "The node and its neighbours",
    "rounds": "Rounds",
    "serve": "Predictions over HTTP",
    "max_temperature": "When to train",
    "log_format": "Log",
    "data": "Data",
    "model": "Model",
    "algorithm": "Exchange",
    "local_steps": "Local training and aggregation",
    "step_rule": "Scores, and how they step",
    "shadow_alone": "Comparison, and the model that is kept",
    "fine_tuning": "Fine-tuning and structured sparsity",
}
"""Headings by the first setting of their section; a section ends where the next one begins."""


def section_of(field: str) -> str:
    """Return the heading under which a setting is shown."""
    names = list(Settings.model_fields)
    return [SECTIONS[name] for name in names[: names.index(field) + 1] if name in SECTIONS][-1]


def describe(field: str) -> str:
    """Return a setting's documentation line."""
    return Settings.model_fields[field].description or ""
