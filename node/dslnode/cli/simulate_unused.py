"""Which settings and options are without effect: a table of them would have equal rows for unequal settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

from dslnode.config.loader import PREFIX, LoadedSettings
from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings, section_of
from dslnode.errors import SettingsError
from dslnode.simulation.methods.recipes import METHODS
from dslnode.simulation.simulated_settings import NOT_SIMULATED
from dslnode.simulation.simulation import AUTHORS, MASK_METHODS, MASKS_ALONE, SimulationOptions

OF_ALL_METHODS = frozenset(
    {name for name in Settings.model_fields if section_of(name) == "Data"}
    | {"model", "seed", "rounds", "evaluate_every", "threads", "local_steps", "batch_size", "uneven_classes"}
)
REFUSED_WITH_A_REASON = frozenset({"data_cap", "frozen"})
"""What methods that learn no masks refuse by themselves."""
OF_THE_AUTHORS_FORM = frozenset({*PRESETS[AUTHORS], "algorithm"}) - {"local_steps"}
"""Settings that its form replaces; the local steps say how many rounds it has."""
OF_NEIGHBOURS = frozenset(
    {
        *("exchange", "consensus_step_size", "adaptive_collaboration", "robust_aggregation", "send_threshold"),
        *("mean_ema_decay", "round_deadline", "max_lead", "max_staleness", "data_cap"),
    }
)
"""Settings without effect where no node has a neighbour."""
OF_THE_NEIGHBOUR_MEAN = frozenset({"alpha", "mask_novelty", "fine_tuning", "fine_tuning_rate"})
"""Settings that have one there only if nodes begin with a random mean, as the authors' do."""
REPLACED_BY_PARTITION = frozenset({"split", "classes", "samples_per_class", "held_out_fraction"})
"""Settings by which daemons draw what a file of ``--partition`` says."""
NOT_OF_MASKS = ("keep_ratio", "wait_for_peers")
"""Options of the command that only simulated daemons have."""


def unused_by(
    method: str, loaded: LoadedSettings, options: SimulationOptions, axes: Collection[str] = ()
) -> dict[str, str]:
    """Return settings and options that are not their defaults, or have an axis, and that the method makes nothing of.

    Values are where each was set, keys the names of options on the command line.
    """
    settings = _given(loaded, axes)
    found = {name: loaded.origins[name] for name in settings if not _is_used(method, name, loaded, axes)}
    if method not in MASK_METHODS:
        defaults = {field.name: field.default for field in fields(SimulationOptions)}
        found |= {name: "" for name in NOT_OF_MASKS if name in axes or getattr(options, name) != defaults[name]}
    return {name.replace("_", "-"): origin for name, origin in found.items()}


def check_used(
    loaded: LoadedSettings,
    options: SimulationOptions,
    *,
    axes: Collection[str] = (),
    compared: Collection[str] = (),
) -> tuple[str, ...]:
    """Refuse settings that the method of these options makes nothing of; return those it does without, by name.

    Those are settings which all simulations of a grid have, and one of the ``compared`` methods uses. ``axes`` are the
    names of what the grid varies. Raises ``SettingsError`` with the names of all others. An unknown method is refused
    elsewhere.
    """
    method = options.method
    if method not in (*MASK_METHODS, *METHODS):
        return ()
    unused = unused_by(method, loaded, options, axes)
    used = {name for other in compared for name in unused.keys() - unused_by(other, loaded, options).keys()}
    excused = used - {name.replace("_", "-") for name in axes}
    refused = [_named(name, origin) for name, origin in unused.items() if name not in excused]
    if refused:
        raise SettingsError(f"--method {method}: makes nothing of {', '.join(refused)}; {_remedy(method, unused)}")
    return tuple(unused)


def check_partition(loaded: LoadedSettings, options: SimulationOptions, *, axes: Collection[str] = ()) -> list[str]:
    """Refuse settings that a file of ``--partition`` replaces; return those that were read from a file, by name.

    ``settings.toml`` of a report has those by which its partition was drawn, and is given beside it to run it again.
    Raises ``SettingsError`` with the names of all others.
    """
    given = [name for name in _given(loaded, axes) if options.partition and name in REPLACED_BY_PARTITION]
    named = {f"--{name.replace('_', '-')}": loaded.origins[name] for name in given}
    refused = [
        _named(option[2:], origin)
        for option, origin in named.items()
        if origin in (option, "--grid") or origin.startswith(PREFIX)
    ]
    if refused:
        raise SettingsError(
            f"--partition {options.partition}: says which examples each part holds, in place of {', '.join(refused)}; "
            "leave one of the two out"
        )
    return [option[2:] for option in named]


def _given(loaded: LoadedSettings, axes: Collection[str]) -> list[str]:
    """Return the settings that somebody chose, and not as they are by default. What a preset sets is not one."""
    return [
        name
        for name, origin in loaded.origins.items()
        if name not in NOT_SIMULATED
        and origin != "default"
        and not origin.startswith("preset ")
        and (name in axes or getattr(loaded.settings, name) != Settings.model_fields[name].get_default())
    ]


def _is_used(method: str, name: str, loaded: LoadedSettings, axes: Collection[str]) -> bool:
    if method == MASKS_ALONE:
        return name not in OF_NEIGHBOURS and (name not in OF_THE_NEIGHBOUR_MEAN or loaded.settings.random_first_mean)
    if method == AUTHORS:
        return name not in OF_THE_AUTHORS_FORM or (name not in axes and _is_the_authors_own(name, loaded))
    return method in MASK_METHODS or name in OF_ALL_METHODS or name in REFUSED_WITH_A_REASON


def _is_the_authors_own(name: str, loaded: LoadedSettings) -> bool:
    return bool(getattr(loaded.settings, name) == {**PRESETS[AUTHORS], "algorithm": AUTHORS}[name])


def _named(name: str, origin: str) -> str:
    option = f"--{name}"
    return option if origin in ("", option, "--grid") else f"{option} (from {origin})"


def _remedy(method: str, unused: Collection[str]) -> str:
    if method == AUTHORS:
        return "leave it out, or take --algorithm authors in place of the method, which your settings change"
    if method not in MASK_METHODS and "learning-rate" in unused:
        return "leave it out; its learning rate is --method-rate"
    return "leave it out"
