"""Makes a schema from what was seen of a table and from the options: target, task, and what each column is."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from dslnode.data.readers.raw import MAX_CLASSES
from dslnode.data.scaling import mean_scale
from dslnode.data.schema import Column, ColumnKind, Schema, Series
from dslnode.data.spec_options import TaskOptions
from dslnode.data.tables.cells import parse_number
from dslnode.data.tables.columns import (
    describe_column,
    may_be_classes,
    may_be_numbers,
    number_column,
    sorted_texts,
)
from dslnode.data.tables.profile import ColumnProfile, Profile
from dslnode.data.target import Task
from dslnode.errors import DataError

TARGET_NAMES = (
    *("label", "labels", "target", "y", "outcome", "survived", "diagnosis", "species", "class", "classes", "output"),
)
"""Names of the target, the surest first."""
ANOMALY_NAMES = ("anomaly", "is_anomaly", "outlier", "attack", "fault", "label", "labels", "target", "class", "y")
NORMAL_NAMES = frozenset({"0", "normal", "ok", "good", "no", "false", "n", "f", "inlier", "healthy", "benign", "none"})
NO_TARGET = frozenset({"year", "yr", "month", "day", "hour", "date", "time", "timestamp", "datetime", "index", "id"})
"""Names of columns that are no target unless they are named as one."""
DEFAULT_WINDOW = 24
WINDOWS_WANTED = 20
"""A window is shortened until there are about so many that do not overlap."""
NAMES_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What is known of a table beside its rows: options, task, number of classes, and what its file says."""

    options: TaskOptions
    task: str = ""
    class_count: int | None = None
    class_names: tuple[str, ...] = ()
    has_header: bool = True
    source: str = ""


def infer_schema(profile: Profile, wishes: Wishes) -> tuple[Schema, tuple[str, ...]]:
    """Return the schema of a table, and what was decided, in words. Raises ``DataError`` naming the option to give."""
    if profile.rows == 0:
        raise DataError(f"{wishes.source}: no examples; below its header it holds no rows")
    finder = _Columns(profile, wishes)
    task = wishes.task or wishes.options.task or (Task.FORECAST if wishes.options.horizon else "")
    targets, how = _find_targets(finder, task)
    task = task or _task_of(targets)
    classes = _classes(targets, task, wishes)
    columns, notes = _columns(finder, targets, task)
    schema = Schema(
        task=task,
        target=tuple(target.name for target in targets),
        classes=classes,
        series=_series(finder, columns, task, profile.rows),
        columns=columns,
    )
    if not schema.inputs:
        raise DataError(
            f"{wishes.source}: no column is left to learn from beside the target;"
            f" {'; '.join(notes) or 'the table needs another column'}"
            " (to forecast a series from its own past, say ?horizon=1)"
        )
    return schema, (_target_note(schema, how), *notes)


class _Columns:
    """The columns of a table by name."""

    def __init__(self, profile: Profile, wishes: Wishes) -> None:
        self.wishes = wishes
        self.all = profile.columns
        self._by_name = {column.name: column for column in profile.columns}
        self._by_lower = {column.name.lower(): column for column in profile.columns}
        options = wishes.options
        self.dropped = {self.find(name, "drop").name for name in options.drop}
        kept = {self.find(name, "keep").name for name in options.keep}
        if kept:
            self.dropped |= self._by_name.keys() - kept
        self.group = self.find(options.group, "group").name if options.group else ""
        self.time = self.find(options.time, "time").name if options.time else ""

    def named(self, names: Sequence[str]) -> ColumnProfile | None:
        """Return the column of the first of some names, in lower case, that there is."""
        return next((self._by_lower[name] for name in names if name in self._by_lower), None)

    def find(self, name: str, option: str) -> ColumnProfile:
        """Return a column by its name or, where the file names none, its position from 1."""
        found = self._by_name.get(name) or self._by_lower.get(name.strip().lower())
        if found is None and not self.wishes.has_header and name.isdecimal() and 1 <= int(name) <= len(self.all):
            found = self.all[int(name) - 1]
        if found is None:
            near = difflib.get_close_matches(name, self._by_name, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its columns are {listed(list(self._by_name))}"
            raise DataError(f"{self.wishes.source}: {option}={name}: there is no such column; {hint}")
        return found

    @property
    def candidates(self) -> list[ColumnProfile]:
        """The columns that may be a target."""
        out = {self.group, self.time} | self.dropped
        named = [column for column in self.all if column.name not in out and column.name.lower() not in NO_TARGET]
        return [column for column in named if column.filled]


def _find_targets(finder: _Columns, task: str) -> tuple[list[ColumnProfile], str]:
    """Return the target columns and why they were chosen; none for an anomaly task without labels."""
    given = finder.wishes.options.target
    if given:
        targets = [finder.find(name, "target") for name in given]
        for target in targets:
            if not target.filled:
                raise DataError(
                    f"{finder.wishes.source}: the target {target.name!r} has no values; name another target"
                )
        return targets, "given"
    if task == Task.ANOMALY:
        found = finder.named(ANOMALY_NAMES)
        return ([found], "by its name") if found is not None and may_be_classes(found) else ([], "no labels")
    if task == Task.MULTILABEL:
        raise DataError(f"{finder.wishes.source}: several labels at once need their columns: ?target=leak,noise")
    return _guess_target(finder, task)


def _guess_target(finder: _Columns, task: str) -> tuple[list[ColumnProfile], str]:
    numbers_only = task in {Task.REGRESSION, Task.FORECAST}
    named = finder.named([name for name in TARGET_NAMES if name != "y" or finder.named(["z"]) is None])
    if named is not None and named.name not in finder.dropped and named.filled:
        return [named], "by its name"
    candidates = finder.candidates
    if not candidates:
        raise DataError(f"{finder.wishes.source}: no column is left to be the target; drop fewer")
    last, first = candidates[-1], candidates[0]
    first_is_classes = not finder.wishes.has_header and may_be_classes(first) and not may_be_classes(last)
    if first_is_classes and not numbers_only:
        return [first], "the first column, whose values look like classes"
    suits = (may_be_classes(last) and not numbers_only) or (may_be_numbers(last) and task != Task.CLASSIFICATION)
    if suits and describe_column(last, None).kind is not ColumnKind.IGNORED:
        return [last], "the last column"
    if len(candidates) == 1 or task == Task.FORECAST:
        usable = [column for column in candidates if may_be_numbers(column)]
        if usable:
            return [usable[-1]], "the last column of numbers"
    raise DataError(
        f"{finder.wishes.source}: the last column, {last.name!r}, cannot be the target; name it with ?target=NAME,"
        f" one of {listed([column.name for column in candidates])}"
    )


def _task_of(targets: Sequence[ColumnProfile]) -> str:
    if len(targets) > 1:
        flags = all(len(target.distinct) == 2 and may_be_classes(target) for target in targets)
        return Task.MULTILABEL if flags else Task.REGRESSION
    return Task.CLASSIFICATION if may_be_classes(targets[0]) or not may_be_numbers(targets[0]) else Task.REGRESSION


def class_text(cell: str, decimal: str = ".") -> str:
    """Return the name of a class as it is compared: ``1``, ``1.0`` and ``01`` are one class."""
    number = parse_number(cell, decimal)
    return cell.strip() if number is None else f"{number:.15g}"


def _classes(targets: Sequence[ColumnProfile], task: str, wishes: Wishes) -> tuple[str, ...]:
    if task == Task.ANOMALY and targets:
        return _normal_first(targets[0])
    if task != Task.CLASSIFICATION:
        if task == Task.MULTILABEL:
            _check_flags(targets, wishes.source)
        return ()
    if len(targets) != 1:
        raise DataError(f"{wishes.source}: a classification has one target, not {len(targets)}; see task=multilabel")
    target = targets[0]
    names = sorted_texts({class_text(text) for text in target.distinct})
    if target.overflow or len(names) > MAX_CLASSES:
        raise DataError(
            f"{wishes.source}: the target {target.name!r} has over {target.max_distinct} different values, too many"
            " for classes; name another target, or say task=regression if it is a number"
        )
    return _counted_classes(names, target, wishes)


def _counted_classes(names: tuple[str, ...], target: ColumnProfile, wishes: Wishes) -> tuple[str, ...]:
    """Return the names, filled up where the number of classes or their names are known from elsewhere."""
    if _are_numbered(target, wishes.class_names):
        return wishes.class_names
    count = wishes.class_count
    if count is not None:
        numbered = tuple(map(str, range(count)))
        if set(names) <= set(numbered):
            return numbered
        if len(names) != count:
            raise DataError(
                f"{wishes.source}: the target {target.name!r} has the classes {listed(names)}, and they are not"
                f" numbered 0..{count - 1}, so that --class-count {count} cannot name those that are not here;"
                " write all class names into a --schema (dslnode data describe makes one)"
            )
    if len(names) < 2:
        raise DataError(
            f"{wishes.source}: the target {target.name!r} has {len(names)} class(es) here where 2 or more are needed;"
            " if this node holds one class of many, give --class-count, or a --schema with the class names of the run"
        )
    return names


def _are_numbered(target: ColumnProfile, class_names: Sequence[str]) -> bool:
    """Return whether a target holds the numbers, from 0, of classes whose names stand elsewhere in the file."""
    return bool(class_names) and {class_text(text) for text in target.distinct} <= set(_numbers_of(class_names))


def _numbers_of(class_names: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, range(len(class_names))))


def _normal_first(target: ColumnProfile) -> tuple[str, ...]:
    """Return the classes of an anomaly task, the normal one first: by its name, else the most frequent."""
    names = sorted_texts({class_text(text) for text in target.distinct})
    counts = dict.fromkeys(names, 0)
    for text, count in target.distinct.items():
        counts[class_text(text)] += count
    normal = next((name for name in names if name.lower() in NORMAL_NAMES), max(names, key=lambda name: counts[name]))
    return (normal, *(name for name in names if name != normal))


def _check_flags(targets: Sequence[ColumnProfile], source: str) -> None:
    for target in targets:
        if len(target.distinct) > 2 or target.overflow:
            raise DataError(
                f"{source}: the target {target.name!r} has more than two different values; several labels at once"
                " (multilabel) need columns of yes and no, or 1 and 0"
            )


def _columns(finder: _Columns, targets: Sequence[ColumnProfile], task: str) -> tuple[tuple[Column, ...], list[str]]:
    target_names = {target.name for target in targets}
    missing = finder.wishes.options.missing
    columns = []
    for profile in finder.all:
        if profile.name in target_names:
            columns.append(_target_column(profile, task, finder.wishes))
        elif profile.name in finder.dropped:
            columns.append(Column(name=profile.name, kind=ColumnKind.IGNORED, why="left out by an option"))
        else:
            columns.append(describe_column(profile, missing))
    return tuple(columns), _column_notes(columns, target_names)


def _target_column(profile: ColumnProfile, task: str, wishes: Wishes) -> Column:
    if task in {Task.CLASSIFICATION, Task.ANOMALY}:
        written = _numbers_of(wishes.class_names) if _are_numbered(profile, wishes.class_names) else ()
        return Column(name=profile.name, kind=ColumnKind.LABEL, empty=profile.empty, categories=written)
    if task == Task.MULTILABEL:
        texts = sorted_texts(profile.distinct)
        return Column(name=profile.name, kind=ColumnKind.FLAG, empty=profile.empty, categories=texts)
    described = describe_column(profile, "drop" if task == Task.REGRESSION else "median")
    if not profile.numbers or (described.kind is not ColumnKind.NUMBER and not may_be_numbers(profile)):
        odd = next(iter(profile.odd), None) or next(iter(profile.distinct), "")
        raise DataError(
            f"the target {profile.name!r} holds {odd[:40]!r}, which is no number, as task={task} needs; "
            "name another target, or say task=classification"
        )
    centre, scale = mean_scale(profile.sample)
    return number_column(profile, "median").model_copy(update={"centre": centre, "scale": scale})


def _column_notes(columns: Sequence[Column], targets: set[str]) -> list[str]:
    notes = []
    ignored = [f"{column.name} ({column.why})" for column in columns if column.kind is ColumnKind.IGNORED]
    if ignored:
        notes.append(f"ignored: {listed(ignored)}")
    times = [f"{column.name} ({column.format})" for column in columns if column.kind is ColumnKind.TIMESTAMP]
    if times:
        notes.append(f"points in time: {listed(times)}")
    marked = [f"{mark!r} in {column.name}" for column in columns for mark in column.marks]
    if marked:
        notes.append(f"taken for a missing number: {listed(marked)}")
    filled = [
        f"{column.name} ({column.empty})"
        for column in columns
        if column.empty and column.name not in targets and column.input_names
    ]
    if filled:
        notes.append(f"missing cells: {listed(filled)}")
    return notes


def _series(finder: _Columns, columns: Sequence[Column], task: str, rows: int) -> Series | None:
    options = finder.wishes.options
    if task == Task.FORECAST or options.window:
        time = finder.time or next((column.name for column in columns if column.kind is ColumnKind.TIMESTAMP), "")
        horizon = max(1, options.horizon) if task == Task.FORECAST else 0
        window = options.window or max(1, min(DEFAULT_WINDOW, rows // WINDOWS_WANTED))
        return Series(window=window, stride=options.stride, horizon=horizon, group=finder.group, time=time)
    return None


def _target_note(schema: Schema, how: str) -> str:
    if not schema.target:
        return f"task {schema.task}, {how}"
    classes = f": classes {listed(schema.classes)}" if schema.classes else ""
    return f"task {schema.task}, target {', '.join(schema.target)} ({how}){classes}"


def listed(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(name[:80] for name in names[:NAMES_SHOWN]) + more
