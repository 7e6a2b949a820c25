"""Takes `--data` apart: the kind of data, the path, and the options after a question mark.

`csv:pump.csv?target=state&drop=id,time`: a path may hold question marks of its own, as patterns do; options begin
at the first one that a name and an equals sign follow. `%2C` stands for a comma in a name, and so on.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dslnode.errors import DataError

OPTIONS_BEGIN = re.compile(r"\?(?=[a-z_]+=)")
MAX_SPEC = 65_536


KINDS = ("csv", "jsonl", "parquet", "sqlite", "npz", "images", "audio", "idx", "cifar10")
"""Kinds of files, by the prefix of ``--data``."""
ARRAYS = ("npz", "idx", "cifar10")
"""Kinds that are read without options, and so without what checks these, unless some are given."""


KINDS_BY_SUFFIX = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
    ".npz": "npz",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
}
"""What kind of file a name that ends so probably has."""
PACKED = (".gz", ".zst", ".zip")


@dataclass(frozen=True, kw_only=True)
class FileSpec:
    """A kind of file, where it is, and how to read it; ``text`` is how it was given, for messages.

    ``options`` are those of ``spec_options`` for the kind; None for arrays without any.
    """

    kind: str
    path: Path
    options: Any
    text: str


def kind_of(spec: str) -> str:
    """Return the kind of file that a spec names, or an empty text if it names none."""
    prefix, colon, _ = spec.partition(":")
    return prefix if colon and prefix in KINDS else ""


def probable_kind(spec: str) -> str:
    """Return the kind of file that the end of a name speaks for, or an empty text."""
    path = Path(OPTIONS_BEGIN.split(spec, maxsplit=1)[0].lower())
    path = path.with_suffix("") if path.suffix in PACKED else path
    return KINDS_BY_SUFFIX.get(path.suffix, "")


def check_kind(spec: str) -> None:
    """Raise ``DataError`` that says what to write if the spec is the name of a file, without its kind."""
    if not kind_of(spec) and (kind := probable_kind(spec)):
        raise DataError(f"--data {spec}: does not say what kind of file it is; write {kind}:{spec}")


def parse_spec(spec: str) -> FileSpec:
    """Take a spec of a known kind apart. Raises ``DataError`` that names the option."""
    kind = kind_of(spec)
    rest = spec[len(kind) + 1 :]
    begin = OPTIONS_BEGIN.search(rest)
    path, options = (rest, "") if begin is None else (rest[: begin.start()], rest[begin.end() :])
    if not path:
        raise DataError(f"--data {spec}: give a path after the colon, such as {kind}:/data/mine")
    if len(spec) > MAX_SPEC:
        raise DataError(f"--data {spec[:80]}...: longer than {MAX_SPEC} characters; put its options into a --schema")
    parsed = None if kind in ARRAYS and not options else _parsed(kind, options, spec)
    return FileSpec(kind=kind, path=Path(os.path.expanduser(path)), options=parsed, text=spec)


def _parsed(kind: str, options: str, spec: str) -> Any:
    from dslnode.data.spec_options import parse_options

    return parse_options(kind, options, spec)
