"""The options that each kind of data takes after the question mark of `--data`, and their checks."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from dslnode.data.schema import MAX_WINDOW, MissingCells
from dslnode.errors import DataError

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}


def _names(value: object) -> object:
    return tuple(unquote(name) for name in value.split(",") if name) if isinstance(value, str) else value


def _text(value: object) -> object:
    return unquote(value) if isinstance(value, str) else value


def _separator(value: object) -> object:
    text = unquote(value) if isinstance(value, str) else value
    return SEPARATORS.get(text, text) if isinstance(text, str) else text


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Text = Annotated[str, BeforeValidator(_text)]
Separator = Annotated[Literal[",", ";", "\t", "|", " "], BeforeValidator(_separator)]


class Options(BaseModel):
    """Options after the question mark; each kind of data takes some of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class TaskOptions(Options):
    """The target and the task."""

    target: Names = ()
    task: Text = ""
    drop: Names = ()
    keep: Names = ()
    missing: MissingCells | None = None
    window: int | None = Field(None, ge=1, le=MAX_WINDOW)
    stride: int = Field(1, ge=1, le=MAX_WINDOW)
    horizon: int = Field(0, ge=0, le=MAX_WINDOW)
    group: Text = ""
    time: Text = ""


class CsvOptions(TaskOptions):
    """Tables as text."""

    separator: Separator | None = None
    decimal: Literal[".", ","] | None = None
    header: bool | None = None
    encoding: Text = ""


class SqliteOptions(TaskOptions):
    """A table or a query of a SQLite file."""

    table: Text = ""
    query: Text = ""


class ArrayOptions(Options):
    """Arrays of three dimensions."""

    axes: Literal["series", "image"] | None = None


class ImageOptions(Options):
    """Folders of images."""

    size: Annotated[str, Field(pattern=r"^[0-9]{1,4}(x[0-9]{1,4})?$")] | None = None
    mode: Literal["grey", "colour"] | None = None


class AudioOptions(Options):
    """Folders of sounds."""

    seconds: float | None = Field(None, gt=0, le=600)
    rate: int | None = Field(None, ge=1_000, le=192_000)
    bands: int | None = Field(None, ge=4, le=512)


OPTIONS: dict[str, type[Options]] = {
    "csv": CsvOptions,
    "jsonl": TaskOptions,
    "parquet": TaskOptions,
    "sqlite": SqliteOptions,
    "npz": ArrayOptions,
    "images": ImageOptions,
    "audio": AudioOptions,
    "idx": Options,
    "cifar10": Options,
}
"""By the kind of file."""


def parse_options(kind: str, text: str, spec: str) -> Options:
    """Return the options in the text after the question mark. Raises ``DataError`` that names the option."""
    model = OPTIONS[kind]
    given: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not equals or name not in model.model_fields:
            raise DataError(f"--data {spec}: {kind} has no option {name!r}{_suggestion(name, model)}")
        if name in given:
            raise DataError(f"--data {spec}: the option {name} is given twice; write several names as {name}=a,b")
        given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][0])
        raise DataError(f"--data {spec}: {name}={given[name]}: {problem['msg']}") from error


def _suggestion(name: str, model: type[Options]) -> str:
    known = list(model.model_fields)
    if not known:
        return "; it takes none"
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; it takes {', '.join(known)}"
