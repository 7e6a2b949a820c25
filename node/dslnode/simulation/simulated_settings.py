"""Settings of daemons in a simulation: which it has none of, and which tickets of the same network need."""

from __future__ import annotations

from dslnode.config.loader import LoadedSettings
from dslnode.config.settings import Settings, section_of

OWN_SECTION = "The node and its neighbours"
"""Settings of one machine: addresses, directories, tickets."""
OWN_SETTINGS = ("name", "keep_ratio", "share")
"""What differs from node to node."""
NOT_SIMULATED = frozenset(
    name
    for name in Settings.model_fields
    if section_of(name) in (OWN_SECTION, "Predictions over HTTP", "When to train", "Log")
    or name in ("nice", "share", "shadow_alone", "keep")
)
"""Settings of what a simulated node does not have, or what differs from node to node."""


def chosen_settings(loaded: LoadedSettings, settings: Settings, rounds: int) -> dict[str, str]:
    """Return the ``settings`` that all nodes have in common, and somebody or the simulation chose, as text by name."""
    names = [
        name
        for name, origin in loaded.origins.items()
        if name not in OWN_SETTINGS
        and section_of(name) != OWN_SECTION
        and (origin != "default" or getattr(settings, name) != getattr(loaded.settings, name))
    ]
    return {**{name: text_of(getattr(settings, name)) for name in names}, "rounds": str(rounds)}


def text_of(value: object) -> str:
    """Return a setting's value as the text that ``--set`` reads."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{name}={part}" for name, part in value.items())
    return str(value)
