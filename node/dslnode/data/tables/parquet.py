"""Reads Parquet files (`parquet:FILE`) by row groups and batches; needs the package pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dslnode.data.readers.raw import existing_file
from dslnode.data.schema import MAX_COLUMNS
from dslnode.data.spec_options import TaskOptions
from dslnode.data.tables.source import Cells, Chunk, chunk_rows, unique_names
from dslnode.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class ParquetFile:
    """A Parquet file, read in batches of rows."""

    path: Path
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    has_header: bool = True

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows. Raises ``DataError`` if the file is damaged."""
        import pyarrow.lib
        import pyarrow.parquet

        begun = 0
        try:
            with pyarrow.parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=2**16) as file:
                for batch in file.iter_batches(batch_size=chunk_rows(len(self.names)), use_threads=False):
                    columns = [_cells(batch.column(index)) for index in range(batch.num_columns)]
                    numbers = range(begun + 1, begun + batch.num_rows + 1)
                    yield Chunk(columns=columns, numbers=numbers, file=str(self.path), unit="row")
                    begun += batch.num_rows
        except (pyarrow.lib.ArrowException, OSError) as error:
            raise _broken(self.path, error) from error


def open_parquet(path: Path, options: TaskOptions) -> ParquetFile:  # noqa: ARG001 (readers are called alike)
    """Open a Parquet file. Raises ``DataError`` if it is none, or nests columns."""
    try:
        import pyarrow.lib
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"{path}: parquet: needs the package pyarrow; install it with: pip install 'dslnode[tables]'"
        ) from error
    existing_file(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise _broken(path, error) from error
    if not 0 < len(schema.names) <= MAX_COLUMNS:
        raise DataError(f"{path}: {len(schema.names)} columns where 1 to {MAX_COLUMNS} are read")
    nested = next((field.name for field in schema if pyarrow.types.is_nested(field.type)), None)
    if nested is not None:
        raise DataError(f"{path}: the column {nested!r} holds lists or objects; write each part as a column of its own")
    return ParquetFile(path, unique_names(schema.names, str(path)))


def _cells(column: pa.Array) -> Cells:
    """Return numbers as float64 with NaN for nulls, anything else as texts."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    return [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read as Parquet ({error}); write it again")
