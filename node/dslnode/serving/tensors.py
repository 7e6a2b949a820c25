"""Tensors of the Open Inference Protocol: their types, and their values as JSON or as bytes (binary extension)."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from dslnode.data.tables.source import Cells

BYTES, BOOL = "BYTES", "BOOL"
DATATYPES: dict[str, Any] = {
    BOOL: np.bool_,
    **{
        f"{'U' if kind == 'uint' else ''}INT{bits}": np.dtype(f"{kind}{bits}")
        for kind in ("uint", "int")
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}
"""The types of numbers by their names in the protocol."""
NAMES = {np.dtype(kind): name for name, kind in DATATYPES.items()}
LENGTH = struct.Struct("<I")
SIZE = "binary_data_size"
MAX_DIMENSIONS = 8

Text = Annotated[StrictStr, Field(max_length=1_024)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RequestInput(_Part):
    """A tensor that a client sends; without ``data`` its bytes follow the JSON."""

    name: Text
    shape: tuple[Annotated[StrictInt, Field(ge=0)], ...] = Field(max_length=MAX_DIMENSIONS)
    datatype: StrictStr
    parameters: dict[str, Any] = Field(default_factory=dict)
    data: list[Any] | None = None

    @property
    def binary_size(self) -> int | None:
        """How many bytes of the tensor follow the JSON; None if its values are in the JSON."""
        size = self.parameters.get(SIZE)
        return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


class RequestOutput(_Part):
    """A tensor that a client wants."""

    name: Text
    parameters: dict[str, Any] = Field(default_factory=dict)


class InferenceRequest(_Part):
    """What a client sends to be answered."""

    id: Text | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    inputs: tuple[RequestInput, ...] = Field(min_length=1, max_length=65_536)
    outputs: tuple[RequestOutput, ...] = ()


def tensor_values(tensor: RequestInput, binary: bytes | None) -> Cells:
    """Return the values of a tensor as they are in memory, one after another: numbers, or texts for BYTES.

    ``binary`` are its bytes, None if its values are in the JSON. ``ValueError`` that says what does not fit.
    """
    count = math.prod(tensor.shape)
    if tensor.datatype != BYTES and tensor.datatype not in DATATYPES:
        raise ValueError(f"has the datatype {tensor.datatype[:20]!r}, and there are {', '.join((*DATATYPES, BYTES))}")
    if binary is not None:
        values = _texts_in(binary) if tensor.datatype == BYTES else _numbers_in(binary, DATATYPES[tensor.datatype])
    elif tensor.data is None:
        raise ValueError("has no data; give them, or their bytes after the JSON")
    else:
        values = _converted(_flat(tensor.data, len(tensor.shape)), tensor.datatype)
    if len(values) != count:
        raise ValueError(f"has {len(values)} values, and its shape {list(tensor.shape)} means {count}")
    return values


def output_tensor(name: str, values: NDArray[Any] | Sequence[str], *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """Return a tensor as a client gets it, and the bytes that follow the JSON, empty if its values are in it."""
    if isinstance(values, np.ndarray):
        described = {"name": name, "shape": list(values.shape), "datatype": NAMES[values.dtype]}
        content = values.astype(values.dtype.newbyteorder("<")).tobytes() if binary else b""
        data: list[Any] = [] if binary else values.reshape(-1).tolist()
    else:
        described = {"name": name, "shape": [len(values)], "datatype": BYTES}
        encoded = [value.encode() for value in values] if binary else []
        content = b"".join(LENGTH.pack(len(value)) + value for value in encoded)
        data = [] if binary else list(values)
    if binary:
        return {**described, "parameters": {SIZE: len(content)}}, content
    return {**described, "data": data}, b""


def _flat(data: list[Any], dimensions: int) -> list[Any]:
    """Return nested lists as one: a tensor may come either way."""
    for _ in range(dimensions - 1):
        if not data or not all(isinstance(part, list) for part in data):
            break
        data = list(chain.from_iterable(data))
    return data


def _converted(values: list[Any], datatype: str) -> Cells:
    if datatype == BYTES:
        if not all(isinstance(value, str) for value in values):
            raise ValueError("has the datatype BYTES, and a value that is no text")
        return values
    kind = np.dtype(DATATYPES[datatype])
    allowed: tuple[type, ...] = (bool,) if datatype == BOOL else (int,)
    if kind.kind == "f":
        values = [math.nan if value is None else value for value in values]  # a cell without a value
        allowed = (int, float)
    wrong = next((value for value in values if not isinstance(value, allowed) or _is_other(value, datatype)), None)
    if wrong is not None:
        raise ValueError(f"has the datatype {datatype}, and the value {str(wrong)[:40]!r}, which is none")
    try:
        return _as_cells(np.array(values, kind))
    except OverflowError as error:
        raise ValueError(f"has the datatype {datatype}, and a value that does not fit in it") from error


def _is_other(value: Any, datatype: str) -> bool:
    return isinstance(value, bool) and datatype != BOOL


def _numbers_in(binary: bytes, kind: Any) -> Cells:
    little = np.dtype(kind).newbyteorder("<")
    if len(binary) % little.itemsize:
        raise ValueError(f"has {len(binary)} bytes, which are no whole number of values")
    return _as_cells(np.frombuffer(binary, little))


def _texts_in(binary: bytes) -> list[str]:
    texts, place = [], 0
    while place < len(binary):
        if len(binary) - place < LENGTH.size:
            raise ValueError("has texts whose last length is cut")
        [length] = LENGTH.unpack_from(binary, place)
        place += LENGTH.size
        if len(binary) - place < length:
            raise ValueError("has a text that is longer than its bytes")
        try:
            texts.append(binary[place : place + length].decode())
        except UnicodeDecodeError as error:
            raise ValueError("has a text that is no UTF-8") from error
        place += length
    return texts


def _as_cells(values: NDArray[Any]) -> Cells:
    if np.isinf(values).any():
        raise ValueError("has a value that is infinite; give numbers")
    return values.astype(np.float64)
