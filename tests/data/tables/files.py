"""What the tests of tables share: a file with some rows, and what is loaded from it."""

from __future__ import annotations

from pathlib import Path

from dslnode.data.dataset import DataSet, load_data_set


def load_text(directory: Path, text: str | bytes, options: str = "", *, name: str = "a.csv", task: str = "") -> DataSet:
    """Write a text table and load it."""
    path = directory / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_data_set(f"csv:{path}{options and '?' + options}", task=task)


def rows(count: int, line: str = "{a},{b},{c}") -> str:
    """Return lines of numbers a and b, neither counting the rows nor constant, and of classes c: ok, worn, off."""
    numbers = ((7 * i % 11 + 0.5, 3 * i % 17 - 4, ("ok", "worn", "off")[i % 3]) for i in range(count))
    return "".join(line.format(a=a, b=b, c=c) + "\n" for a, b, c in numbers)
