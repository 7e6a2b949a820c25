"""Looks at every column of a table once, in bounded memory: counts, ranges, distinct texts, a sample of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dslnode.data.tables.cells import MISSING, parse_number, parse_numbers
from dslnode.data.tables.source import Cells, Chunk, TableSource

MAX_SAMPLE = 4_096
MAX_DISTINCT = 4_096
MAX_SAMPLES_HELD, MAX_TEXTS_HELD, MAX_NUMBERS_HELD = 2_000_000, 400_000, 60_000
"""About how many sampled numbers, distinct texts, and distinct numbers as texts are held over all columns."""
MIN_SAMPLE, MIN_TEXTS, MIN_NUMBERS = 256, 300, 64
"""So many of them are held of each column, however many there are."""
MAX_ODD = 4
"""Texts among numbers that are kept as examples."""
EXAMPLE_STEP = 16
"""Of so many distinct texts one is kept where there are too many."""
TEXT_SHARE = 0.5
"""Part of the cells of a first chunk that are no numbers, from which on a column is one of texts."""


@dataclass
class ColumnProfile:
    """What was seen of one column.

    ``odd`` are texts among numbers by how often they occur.
    ``distinct`` are texts (or numbers) as they are written, until there are too many of them; then ``examples`` are
    some of them, from all of the table.
    """

    name: str
    max_texts: int = MAX_DISTINCT
    max_numbers: int = MAX_DISTINCT
    max_sample: int = MAX_SAMPLE
    cells: int = 0
    empty: int = 0
    numbers: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    whole: bool = True
    counts_rows: bool = True
    first: float | None = None
    last: float | None = None
    odd: Counter[str] = field(default_factory=Counter)
    odd_overflow: bool = False
    distinct: Counter[str] = field(default_factory=Counter)
    overflow: bool = False
    examples: list[str] = field(default_factory=list)
    is_text: bool = False
    _sample: list[NDArray[np.float64]] = field(default_factory=list)
    _sampled: int = 0
    _every: int = 1

    @property
    def sample(self) -> NDArray[np.float64]:
        """Numbers of the column, evenly taken from all its rows, float64 (n,)."""
        return np.concatenate(self._sample) if self._sample else np.empty(0)

    @property
    def filled(self) -> int:
        """Cells with a value."""
        return self.cells - self.empty

    @property
    def max_distinct(self) -> int:
        """How many distinct texts, or numbers as texts, are held."""
        return self.max_texts if self.is_text else self.max_numbers

    @property
    def is_constant(self) -> bool:
        """Whether all cells with a value hold the same."""
        return not self.overflow and len(self.distinct) <= 1

    def add(self, cells: Cells, decimal: str) -> None:
        """Take in some cells."""
        if isinstance(cells, np.ndarray):
            self._add_numbers(np.asarray(cells, dtype=np.float64), np.isnan(cells).sum())
            if not self.overflow:
                distinct = np.unique(cells[~np.isnan(cells)])[: self.max_distinct + 1]
                self._add_distinct([f"{value:.15g}" for value in distinct])
        else:
            self._add_texts(cells, decimal)
        self.cells += len(cells)

    def _add_texts(self, cells: Sequence[str], decimal: str) -> None:
        values, wrong = (None, []) if self.is_text else parse_numbers(cells, decimal)
        if values is not None and not wrong and self.overflow and not np.isnan(values).any():
            self._add_numbers(values, 0)
            return
        counts = Counter(cells)
        present = [text for text in counts if text.strip().lower() not in MISSING]
        empty = len(cells) - sum(counts[text] for text in present)
        if values is None:
            self.empty += empty
        else:
            self._add_numbers(values[~np.isnan(values)], empty)
        if wrong:
            self._add_odd(cells, wrong)
            self.is_text = self.cells == 0 and len(wrong) > TEXT_SHARE * (len(cells) - empty)
            self.counts_rows = False
        self._add_distinct(present, counts)

    def _add_odd(self, cells: Sequence[str], wrong: Sequence[int]) -> None:
        for position in wrong:
            text = cells[position].strip()
            if text in self.odd or len(self.odd) < MAX_ODD:
                self.odd[text] += 1
            else:
                self.odd_overflow = True

    def _add_numbers(self, values: NDArray[np.float64], empty: int) -> None:
        present = values[~np.isnan(values)]
        self.empty += int(empty)
        self.counts_rows = self.counts_rows and not empty
        if not present.size:
            return
        self.numbers += len(present)
        self.low, self.high = min(self.low, float(present.min())), max(self.high, float(present.max()))
        self.whole = self.whole and bool((present == np.floor(present)).all())
        before = present if self.last is None else np.concatenate([[self.last], present])
        self.counts_rows = self.counts_rows and bool((np.diff(before) == 1).all())
        self.first = float(present[0]) if self.first is None else self.first
        self.last = float(present[-1])
        self._add_sample(present)

    def _add_sample(self, present: NDArray[np.float64]) -> None:
        start = -(self.numbers - len(present)) % self._every
        self._sample.append(present[start :: self._every].copy())
        self._sampled += len(self._sample[-1])
        while self._sampled > self.max_sample:
            self._sample = [np.concatenate(self._sample)[::2]]
            self._sampled, self._every = len(self._sample[0]), 2 * self._every

    def _add_distinct(self, texts: Sequence[str], counts: Counter[str] | None = None) -> None:
        if self.overflow:
            if len(self.examples) < self.max_texts:
                self.examples += texts[:1]
            return
        for text in texts:
            self.distinct[text.strip()] += 1 if counts is None else counts[text]
        if len(self.distinct) > self.max_distinct:
            self.overflow = True
            self.examples = list(self.distinct)[::EXAMPLE_STEP]
            self.distinct.clear()


@dataclass(frozen=True)
class Profile:
    """What was seen of a whole table; a last row that is not finished is left out."""

    columns: tuple[ColumnProfile, ...]
    rows: int


def profile_table(source: TableSource) -> Profile:
    """Look at all rows of a table once. Raises ``DataError`` where they cannot be read."""
    names = source.names
    texts = min(MAX_DISTINCT, max(MIN_TEXTS, MAX_TEXTS_HELD // len(names)))
    numbers = min(MAX_DISTINCT, max(MIN_NUMBERS, MAX_NUMBERS_HELD // len(names)))
    sample = min(MAX_SAMPLE, max(MIN_SAMPLE, MAX_SAMPLES_HELD // len(names)))
    columns = tuple(ColumnProfile(name, max_texts=texts, max_numbers=numbers, max_sample=sample) for name in names)
    rows = 0
    for chunk in source.chunks():
        if chunk.is_skipped or (chunk.unfinished and rows and not _fits(chunk, columns)):
            continue
        for column, cells in zip(columns, chunk.columns, strict=True):
            column.add(cells, chunk.decimal)
        rows += len(chunk)
    return Profile(columns, rows)


def _fits(chunk: Chunk, columns: Sequence[ColumnProfile]) -> bool:
    """Return whether a last row that may be unfinished has numbers where all rows before had, and no text cut short."""
    for column, cells in zip(columns, chunk.columns, strict=True):
        text = str(cells[0])
        known = column.distinct if column.is_text else ()
        if known and text.strip() not in known and any(other.startswith(text.strip()) for other in known):
            return False
        if (
            column.numbers
            and not column.odd
            and text.strip().lower() not in MISSING
            and parse_number(text, chunk.decimal) is None
        ):
            return False
    return True
