"""What a file of data means: its columns, its target, its task; and what of it all nodes of a run must agree on.

A schema is a value. `schema_file` reads and writes it, `tables` makes one from a file and reads files by it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dslnode.data.readers.raw import MAX_CLASSES
from dslnode.data.target import Task

MAX_COLUMNS = 65_536
MAX_CATEGORIES = 4_096
MAX_WINDOW = 100_000
FINGERPRINT_BYTES = 16

Name = Annotated[str, Field(min_length=1, max_length=255)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
MissingCells = Literal["indicator", "median", "drop"]
Cycle = Literal["day", "week", "year", "order"]


class ColumnKind(StrEnum):
    """What the cells of a column are."""

    NUMBER = "number"
    FLAG = "flag"
    CATEGORY = "category"
    TIMESTAMP = "timestamp"
    LABEL = "label"
    IGNORED = "ignored"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Column(_Value):
    """One column of a table.

    ``low`` to ``high`` is the range seen, ``empty`` the number of cells seen without a value. A number x becomes
    ``(x - centre) / scale``. ``categories`` become one input each; those of a flag are the texts for no and yes.
    ``missing`` says what becomes of cells without a value: the centre, and another input that says so
    (``indicator``), the centre alone (``median``), or the row is left out (``drop``); ``marks`` are texts that stand
    for such cells. A timestamp has a ``format`` (``iso``, ``epoch``, or as of strptime), and becomes ``cycles``:
    the sine and cosine of its place in a day, a week, a year, or its order as a number. ``why`` a column is ignored
    is for people.
    """

    name: Name
    kind: ColumnKind
    unit: str = Field("", max_length=64)
    low: Number | None = None
    high: Number | None = None
    empty: int = Field(0, ge=0)
    centre: Number | None = None
    scale: Positive | None = None
    categories: tuple[str, ...] = Field((), max_length=MAX_CATEGORIES)
    missing: MissingCells = "median"
    marks: tuple[str, ...] = Field((), max_length=16)
    format: str = Field("", max_length=64)
    cycles: tuple[Cycle, ...] = ()
    why: str = Field("", max_length=255)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs that this column becomes, the indicator of missing cells last."""
        if self.kind is ColumnKind.CATEGORY:
            names = tuple(f"{self.name}={category}" for category in self.categories)
        elif self.kind is ColumnKind.TIMESTAMP:
            names = tuple(
                f"{self.name} {part}"
                for cycle in self.cycles
                for part in ([cycle] if cycle == "order" else [f"{cycle} sine", f"{cycle} cosine"])
            )
        elif self.kind in {ColumnKind.NUMBER, ColumnKind.FLAG}:
            names = (self.name,)
        else:
            return ()
        return (*names, f"{self.name} missing") if self.missing == "indicator" else names


class Series(_Value):
    """How rows become windows: ``window`` rows each, ``stride`` rows apart, of one ``group``, in the order of ``time``.

    ``horizon`` is how many rows ahead a forecast looks; 0 for other tasks. Without ``time`` the order of the file
    counts, without ``group`` all rows are of one machine.
    """

    window: int = Field(ge=1, le=MAX_WINDOW)
    stride: int = Field(1, ge=1, le=MAX_WINDOW)
    horizon: int = Field(0, ge=0, le=MAX_WINDOW)
    group: str = Field("", max_length=255)
    time: str = Field("", max_length=255)


class ImageShape(_Value):
    """The size in pixels to which images are brought, and whether they are grey or colour."""

    width: int = Field(ge=1, le=4_096)
    height: int = Field(ge=1, le=4_096)
    mode: Literal["grey", "colour"]


class AudioShape(_Value):
    """Seconds and samples per second to which sounds are brought, and the frequency bands of their spectrogram."""

    seconds: float = Field(gt=0, le=600)
    rate: int = Field(ge=1_000, le=192_000)
    bands: int = Field(32, ge=4, le=512)


class Schema(_Value):
    """What a reader follows, and what nodes of a run agree on.

    ``scaling`` is ``run`` if all nodes scale numbers by the centres and scales written here, ``local`` if each takes
    those of its own data. ``classes`` are the names of the classes, in the order of their numbers.
    """

    task: str = Field(Task.CLASSIFICATION.value, max_length=255)
    target: tuple[Name, ...] = Field((), max_length=MAX_CLASSES)
    classes: tuple[str, ...] = Field((), max_length=MAX_CLASSES)
    scaling: Literal["run", "local"] = "local"
    series: Series | None = None
    image: ImageShape | None = None
    audio: AudioShape | None = None
    columns: tuple[Column, ...] = Field((), max_length=MAX_COLUMNS)

    @model_validator(mode="after")
    def _consistent(self) -> Schema:
        names = [column.name for column in self.columns]
        doubled = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else ""
        if doubled:
            raise ValueError(f"two columns are named {doubled!r}; a column has one entry")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have one name; give each class a name of its own")
        if self.columns:
            self._check_references(set(names))
        if self.scaling == "run":
            self._check_scales()
        return self

    def _check_references(self, names: set[str]) -> None:
        series = self.series
        for what, name in (
            *(("target", name) for name in self.target),
            *((("series.group", series.group), ("series.time", series.time)) if series else ()),
        ):
            if name and name not in names:
                raise ValueError(f"{what} = {name!r}: there is no such column; name one of the columns below")

    def _check_scales(self) -> None:
        for column in self.columns:
            if column.kind is ColumnKind.NUMBER and (column.centre is None or column.scale is None):
                raise ValueError(f"column {column.name!r} has no centre and scale; give them, or set scaling to local")

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns that become inputs, in their order; a forecast and an anomaly see the target's past, too."""
        hidden = set() if self.task == Task.FORECAST else set(self.target)
        if self.series is not None and self.series.group:
            hidden.add(self.series.group)
        return tuple(column for column in self.columns if column.name not in hidden and column.input_names)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of all inputs of a row, in their order."""
        return tuple(name for column in self.inputs for name in column.input_names)

    def column(self, name: str) -> Column:
        """Return a column by its name, which must be there."""
        return next(column for column in self.columns if column.name == name)

    def agreement(self) -> dict[str, Any]:
        """Return what all nodes of a run must agree on, as plain values; what only describes one's data is left out."""
        agreed: dict[str, Any] = {"task": self.task, "target": list(self.target), "classes": list(self.classes)}
        for name in ("series", "image", "audio"):
            part = getattr(self, name)
            if part is not None:
                agreed[name] = part.model_dump()
        if self.series is not None:  # how densely windows are cut is each node's own
            del agreed["series"]["stride"]
        agreed["inputs"] = [self._agreed_column(column) for column in self.inputs]
        return agreed

    def _agreed_column(self, column: Column) -> dict[str, Any]:
        agreed: dict[str, Any] = {"name": column.name, "kind": column.kind.value}
        if column.categories:
            agreed["categories"] = list(column.categories)
        if column.cycles:
            agreed["cycles"] = list(column.cycles)
        if column.missing == "indicator":
            agreed["missing"] = column.missing
        if self.scaling == "run" and column.kind is ColumnKind.NUMBER:
            agreed["centre"], agreed["scale"] = column.centre, column.scale
        return agreed


def difference(mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Return the first difference of two agreements in words, ``theirs`` first; empty if there is none."""
    for name in ("task", "target", "classes", "series", "image", "audio"):
        if mine.get(name) != theirs.get(name):
            return _value_difference(name, mine.get(name), theirs.get(name))
    own, other = mine.get("inputs", []), theirs.get("inputs", [])
    for number, (left, right) in enumerate(zip(own, other, strict=False), start=1):
        if left != right:
            return _column_difference(number, left, right)
    return "" if len(own) == len(other) else f"has {len(other)} input columns, this node {len(own)}"


def _value_difference(name: str, mine: object, theirs: object) -> str:
    if isinstance(mine, list) and isinstance(theirs, list):
        return f"{name}: {_list_difference(mine, theirs)}"
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted({*mine, *theirs}):
            if mine.get(key) != theirs.get(key):
                return _value_difference(f"{name} {key}", mine.get(key), theirs.get(key))
    return f"{name}: {_shown(theirs)} there, {_shown(mine)} here"


def _list_difference(mine: list[Any], theirs: list[Any]) -> str:
    for number, (left, right) in enumerate(zip(mine, theirs, strict=False), start=1):
        if left != right:
            return f"number {number} is {_shown(right)} there, {_shown(left)} here"
    return f"{len(theirs)} there, {len(mine)} here"


def _column_difference(number: int, mine: Any, theirs: Any) -> str:
    if not isinstance(mine, dict) or not isinstance(theirs, dict) or mine.get("name") != theirs.get("name"):
        names = [value.get("name") if isinstance(value, dict) else value for value in (theirs, mine)]
        return f"input column {number} is {_shown(names[0])} there, {_shown(names[1])} here"
    for key in ("kind", "categories", "cycles", "missing", "centre", "scale"):
        if mine.get(key) != theirs.get(key):
            return _value_difference(f"column {mine['name']!r}, {key}", mine.get(key), theirs.get(key))
    return f"column {mine['name']!r} differs"


def _shown(value: object) -> str:
    return "none" if value is None else repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."
