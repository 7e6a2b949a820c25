"""A grid of simulations: every combination of the values of some settings and options, and what came of each."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from statistics import fmean
from typing import cast

from pydantic import TypeAdapter, ValidationError

from dslnode.config.quantities import parse_cap
from dslnode.config.settings import Settings
from dslnode.data.partition import parse_split
from dslnode.errors import SettingsError
from dslnode.simulation.boards import parse_keep_ratios
from dslnode.simulation.hostile import parse_hostility
from dslnode.simulation.link_model import parse_link
from dslnode.simulation.records import RoundRecord, joined, summaries
from dslnode.simulation.simulated_settings import NOT_SIMULATED
from dslnode.simulation.simulation import SimulationOptions

MAX_RUNS = 10_000
OPTION_NAMES = {"speed_sigma": "speed", "until_score": "until"}
"""Options of the command by their fields, where these have other names."""
OPTION_FIELDS = {OPTION_NAMES.get(field.name, field.name): field.name for field in fields(SimulationOptions)}
"""The fields of the simulation's options, by the names that a user knows."""
PARSERS: dict[str, Callable[[str], Hashable]] = {
    "data_cap": parse_cap,
    "hostile": parse_hostility,
    "keep_ratio": parse_keep_ratios,
    "link": parse_link,
    "split": parse_split,
}
"""What reads those values that are text of a form of their own."""
Combination = Mapping[str, str]
"""Values as text, by the name of the setting or option."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one simulation: its last round, the honest nodes' last scores, and what a node sent in the mean.

    ``score_name`` says which scores these are; nodes may have several kinds, and a grid of an earlier release none.
    """

    rounds: float
    mean_score: float | None
    worst_score: float | None
    payload_bits: float
    wire_bytes: float
    seconds: float
    score_name: str = ""


def combinations(axes: Sequence[str]) -> list[Combination]:
    """Return every combination of ``NAME=VALUE,VALUE,...``, the last axis changing fastest.

    Raises ``SettingsError`` if an axis is of another form, or there are too many combinations.
    """
    parsed = dict(_axis(text) for text in axes)
    if len(parsed) < len(axes):
        raise SettingsError("--grid: a setting has two axes; give all its values to one")
    runs: list[Combination] = [dict(zip(parsed, values, strict=True)) for values in product(*parsed.values())]
    if len(runs) > MAX_RUNS:
        raise SettingsError(f"--grid: makes {len(runs):,} simulations; {MAX_RUNS:,} are the most")
    return runs


def varied(
    settings: Settings, options: SimulationOptions, combination: Combination
) -> tuple[Settings, SimulationOptions]:
    """Return settings and options with the values of a combination. Raises ``SettingsError`` if one is wrong."""
    own = {name: value for name, value in combination.items() if name in OPTION_FIELDS}
    others = {name: value for name, value in combination.items() if name not in own}
    for name in others:
        _check_setting(name)
    try:
        return (
            Settings(**{**settings.model_dump(), **others}),
            TypeAdapter(SimulationOptions).validate_python(
                {**asdict(options), **{OPTION_FIELDS[name]: value for name, value in own.items()}}
            ),
        )
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = str(problem["loc"][0]) if problem["loc"] else ""
        name = next((name for name in combination if OPTION_FIELDS.get(name, name) == field), field)
        raise SettingsError(f"--grid {name}={combination.get(name, '')}: {problem['msg']}") from error


def values_of(settings: Settings, options: SimulationOptions, combination: Combination) -> tuple[Hashable, ...]:
    """Return what the texts of a combination mean: ``01`` and ``1`` are one seed, ``0`` and ``0.0`` one churn.

    Raises ``SettingsError`` if one is wrong.
    """
    own_settings, own_options = varied(settings, options, combination)
    return tuple(_value(name, own_settings, own_options) for name in combination)


def check_distinct(settings: Settings, options: SimulationOptions, runs: Sequence[Combination]) -> None:
    """Raise ``SettingsError`` if an axis has a value twice: its run would count for two."""
    found: dict[tuple[str, Hashable], str] = {}
    for run in runs:
        for (name, text), value in zip(run.items(), values_of(settings, options, run), strict=True):
            other = found.setdefault((name, value), text)
            if other != text:
                raise SettingsError(f"--grid {name}: {other} and {text} are the same value; leave one of them out")


def _value(name: str, settings: Settings, options: SimulationOptions) -> Hashable:
    value = getattr(options, OPTION_FIELDS[name]) if name in OPTION_FIELDS else getattr(settings, name)
    if name in PARSERS:
        return PARSERS[name](value)
    return tuple(value.items()) if isinstance(value, dict) else cast(Hashable, value)


def _check_setting(name: str) -> None:
    """Raise ``SettingsError`` unless this is a setting that a simulation has."""
    if name not in Settings.model_fields:
        raise SettingsError(f"--grid {name}: there is no setting and no option of this name")
    if name == "algorithm":
        raise SettingsError(
            "--grid algorithm: is a set of defaults, which no axis changes; take --grid method=ours,authors"
        )
    if name in NOT_SIMULATED:
        raise SettingsError(f"--grid {name}: simulated nodes do not have this setting; leave it out")


def outcome(records: Sequence[RoundRecord], *, hostile: frozenset[int], score_name: str = "") -> Outcome:
    """Return what came of a simulation that has finished at least one round."""
    honest = [record for record in records if record.node not in hostile]
    last = summaries(honest)[-1]
    scores = {record.node: record.score for record in honest if record.score is not None}
    return Outcome(
        rounds=last.round,
        mean_score=fmean(scores.values()) if scores else None,
        worst_score=min(scores.values()) if scores else None,
        payload_bits=last.mean_payload_bits,
        wire_bytes=last.mean_wire_bytes,
        seconds=last.median_seconds,
        score_name=score_name,
    )


def over_seeds(outcomes: Sequence[tuple[Combination, Outcome]]) -> Iterator[tuple[Combination, int, Outcome]]:
    """Yield every combination but for its seed, with the number of seeds, and the mean outcome."""
    groups: dict[tuple[tuple[str, str], ...], list[Outcome]] = {}
    for combination, found in outcomes:
        key = tuple((name, value) for name, value in combination.items() if name != "seed")
        groups.setdefault(key, []).append(found)
    for key, group in groups.items():
        yield dict(key), len(group), _mean(group)


def _mean(group: Sequence[Outcome]) -> Outcome:
    """Return the mean of several outcomes; a score is None where one of them has none."""

    def score(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(values) else None

    return Outcome(
        rounds=fmean(found.rounds for found in group),
        mean_score=score([found.mean_score for found in group]),
        worst_score=score([found.worst_score for found in group]),
        payload_bits=fmean(found.payload_bits for found in group),
        wire_bytes=fmean(found.wire_bytes for found in group),
        seconds=fmean(found.seconds for found in group),
        score_name=joined(found.score_name for found in group),
    )


def _axis(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, values = text.partition("=")
    found = tuple(value.strip() for value in values.split(","))
    if not name or not equals or not all(found) or len(set(found)) < len(found):
        raise SettingsError(f"--grid {text}: is not of the form NAME=VALUE,VALUE, with different values")
    return name.strip().replace("-", "_"), found
