"""Finds out how a text table is written from its first lines: separator, header, decimal sign, number of columns.

Nothing is decided by a file's name. What was found is said in the log, and every finding can be overruled by an
option after the file's name.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dslnode.data.tables.cells import is_missing, parse_number

SEPARATORS = ("\t", ";", "|", ",", " ")
"""In this order where several would do; a space stands for any run of spaces and tabs."""
NAMES_OF_SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma", " ": "space"}
MIN_FIT = 0.9
"""Part of the lines that must have the same number of cells."""
DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+([eE][-+]?[0-9]+)?|[-+]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]*")
DECIMAL_POINT = re.compile(r"[-+]?[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?")
NUMBERS_IN_HEADER = 3
"""So many numbers in a row, each one more than the one before, are the names of columns."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a text table is written.

    ``header`` are the cells of the header line, empty if there is none, or of a comment above the rows. ``counted``
    are class names where the first line counts rows and columns and then names the classes, as scikit-learn's files do.
    """

    separator: str
    decimal: str
    width: int
    header: tuple[str, ...] = ()
    header_in_comment: bool = False
    counted: tuple[str, ...] = ()
    has_counts: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual, in words."""
        notes = []
        if self.separator != ",":
            notes.append(f"separator {NAMES_OF_SEPARATORS[self.separator]}")
        if self.decimal == ",":
            notes.append("decimal comma")
        if self.has_counts:
            notes.append("the first line counts rows and columns")
        elif not self.header:
            notes.append("no header")
        return tuple(notes)


def split_line(line: str, separator: str) -> list[str]:
    """Return the cells of one line."""
    return next(csv_reader([prepared(line, separator)], separator), [])


def prepared(line: str, separator: str) -> str:
    """Return a line as the reader takes it: where spaces separate, tabs are spaces and those at the ends count not."""
    return line.replace("\t", " ").strip() if separator == " " else line


def csv_reader(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """Return an iterator over the rows of lines that are ``prepared``."""
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)


def find_dialect(
    lines: Sequence[str],
    comment: str,
    *,
    separator: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
) -> Dialect:
    """Return the dialect of a table's first ``lines``; ``comment`` is the last comment before them, without its sign.

    What is given is not looked for.
    """
    separator = separator or _find_separator(lines)
    rows = [row for row in (split_line(line, separator) for line in lines) if any(cell.strip() for cell in row)]
    if not rows:
        return Dialect(separator=separator, decimal=decimal or ".", width=0)
    width = _usual_width(rows[1:] or rows)
    decimal = decimal or _find_decimal(rows, separator)
    if header is None and (counted := _counts(rows[0], width)) is not None:
        return Dialect(separator=separator, decimal=decimal, width=width, counted=counted, has_counts=True)
    if header if header is not None else _is_header(rows, width, decimal):
        return Dialect(separator=separator, decimal=decimal, width=width, header=tuple(rows[0]))
    named = split_line(comment, separator) if comment and header is None else []
    above = tuple(named) if len(named) == width > 1 else ()
    return Dialect(separator=separator, decimal=decimal, width=width, header=above, header_in_comment=bool(above))


def _find_separator(lines: Sequence[str]) -> str:
    """Return the separator that gives most lines the same number of cells, more than one; a comma if none does."""
    best, best_fit = ",", 0.0
    for separator in SEPARATORS:
        widths = Counter(len(split_line(line, separator)) for line in lines)
        width, count = max(widths.items(), key=lambda item: item[1], default=(0, 0))
        fit = count / max(1, len(lines))
        enough = fit > best_fit and (separator != " " or best_fit < MIN_FIT)
        if width > 1 and enough and fit > MIN_FIT / 2:
            best, best_fit = separator, fit
    return " " if best == "\t" and _numbers(lines, " ") > _numbers(lines, "\t") else best


def _numbers(lines: Sequence[str], separator: str) -> int:
    """Return how many cells are numbers: a tab may stand before the last of many columns that spaces separate."""
    return sum(parse_number(cell, ".") is not None for line in lines for cell in split_line(line, separator))


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    widths = Counter(len(row) for row in rows)
    return max(widths, key=lambda width: (widths[width], width))


def _find_decimal(rows: Sequence[Sequence[str]], separator: str) -> str:
    if separator == ",":
        return "."
    cells = [cell.strip() for row in rows for cell in row]
    commas = sum(DECIMAL_COMMA.fullmatch(cell) is not None for cell in cells)
    points = sum(DECIMAL_POINT.fullmatch(cell) is not None for cell in cells)
    return "," if commas > points else "."


def _counts(first: Sequence[str], width: int) -> tuple[str, ...] | None:
    """Return the class names of a first line such as ``150,4,setosa,versicolor,virginica``, if it is one."""
    if len(first) < 3 or not all(cell.strip().isdecimal() for cell in first[:2]):
        return None
    names = [cell.strip() for cell in first[2:] if cell.strip()]
    if int(first[1]) != width - 1 or not names or any(parse_number(name, ".") is not None for name in names):
        return None
    return tuple(names)


def _is_header(rows: Sequence[Sequence[str]], width: int, decimal: str) -> bool:
    """Return whether the first row names the columns.

    It does if it has a text where the rows below have numbers, more often than a number; or if it numbers the
    columns; or, in a table of texts, if none of its cells occurs again below.
    """
    first, below = rows[0], rows[1:]
    if not below:
        return not any(parse_number(cell, decimal) is not None for cell in first)
    numeric = [
        index
        for index in range(min(width, len(first)))
        if _is_numeric([row[index : index + 1] for row in below], decimal)
    ]
    if numeric:
        texts = [index for index in numeric if parse_number(first[index], decimal) is None]
        named = any(not is_missing(first[index]) for index in texts)
        numbered = any(_numbers_columns(cells, decimal) for cells in (first, [first[index] for index in numeric]))
        if numbered or len(texts) <= len(numeric) / 2 or named:
            return numbered or len(texts) > len(numeric) / 2
    seen = {cell.strip() for row in below for cell in row}
    names = [cell.strip() for cell in first]
    unnamed = sum(map(is_missing, names[1:]))  # the first one, of row names, may be
    return len(set(names)) == len(names) and not seen.intersection(filter(None, names)) and not unnamed


def _is_numeric(column: Sequence[Sequence[str]], decimal: str) -> bool:
    cells = [cells[0] for cells in column if cells and not is_missing(cells[0])]
    return bool(cells) and 2 * sum(parse_number(cell, decimal) is not None for cell in cells) > len(cells)


def _numbers_columns(cells: Sequence[str], decimal: str) -> bool:
    numbers = [parse_number(cell, decimal) for cell in cells]
    whole = [number for number in numbers if number is not None and number == int(number)]
    steps = {after - before for before, after in itertools.pairwise(whole)}
    return len(whole) == len(cells) >= NUMBERS_IN_HEADER and steps == {1.0}
