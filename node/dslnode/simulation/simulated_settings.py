"""Which settings of a daemon a simulation has none of, or gives to every node by other options."""

from __future__ import annotations

from dslnode.config.settings import Settings, section_of

NOT_SIMULATED = frozenset(
    name
    for name in Settings.model_fields
    if section_of(name)
    in (
        "The node and its neighbours",
        "Predictions over HTTP",
        "When to train",
        "Log",
        "Comparison, and the model that is kept",
    )
    or name in ("nice", "share")
)
"""Settings of what a simulated node does not have, or what differs from node to node."""
