"""The Open Inference Protocol, version 2, over HTTP: what the model takes and gives as tensors, and its answers.

A table's model takes one tensor per column, of one value per row. Others take one tensor, ``inputs``.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from dslnode import __version__
from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.data.tables.source import Cells
from dslnode.errors import DataError
from dslnode.inference.answers import output_names
from dslnode.inference.model_header import Description
from dslnode.inference.predictor import Predictions
from dslnode.inference.row_batch import RowBatch, check_count, encode_batch, needed_columns, shape_text
from dslnode.serving.messages import Request, RequestError, Response, json_response, json_value
from dslnode.serving.served_model import ServedModel
from dslnode.serving.tensors import (
    BOOL,
    BYTES,
    NAMES,
    InferenceRequest,
    RequestInput,
    output_tensor,
    tensor_values,
)

PLATFORM = "dslnode"
SERVER = {"name": "dslnode", "version": __version__, "extensions": ["binary_tensor_data"]}
HEAD_LENGTH = "inference-header-content-length"
INPUTS = "inputs"
FALSE_TRUE = ("false", "true")


def model_metadata(model: ServedModel) -> dict[str, Any]:
    """Return what tensors the model takes and gives; -1 stands for the number of rows."""
    return {
        "name": model.name,
        "versions": [str(model.round)],
        "platform": PLATFORM,
        "inputs": _described_inputs(model),
        "outputs": _described_outputs(model),
    }


def read_request(request: Request) -> tuple[InferenceRequest, bytes]:
    """Return the request in a body, and the bytes after its JSON. ``RequestError`` (400) if it is none."""
    length = request.header(HEAD_LENGTH)
    if length and not (length.isascii() and length.isdigit() and int(length) <= len(request.body)):
        raise _bad(f"{HEAD_LENGTH}: {length[:20]!r} is no number of bytes of the message")
    end = int(length) if length else len(request.body)
    try:
        return InferenceRequest.model_validate(json_value(request.body[:end])), request.body[end:]
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the message"
        raise _bad(f"{where}: {problem['msg']}; see GET /v2/models/NAME for what the model takes") from None


def read_tensors(asked: InferenceRequest, binary: bytes, model: ServedModel, max_rows: int) -> NDArray[Any]:
    """Return the inputs (n, *input_shape) in a request's tensors. ``RequestError`` (400) if they do not fit."""
    values, place = dict[str, Cells](), 0
    for tensor in asked.inputs:
        if tensor.name in values:
            raise _bad(f"input {tensor.name!r}: comes twice")
        size = tensor.binary_size
        if size is not None and place + size > len(binary):
            raise _bad(f"input {tensor.name!r}: its bytes are cut")
        content = None if size is None else binary[place : place + size]
        place += size or 0
        try:
            values[tensor.name] = tensor_values(tensor, content)
        except ValueError as error:
            raise _bad(f"input {tensor.name!r}: {error}") from error
    if place != len(binary):
        raise _bad(f"{len(binary) - place} bytes after the JSON belong to no input")
    try:
        if model.row_schema is None:
            return _whole(asked.inputs, values, model.description, max_rows)
        return _by_column(asked.inputs, values, model.row_schema, max_rows)
    except DataError as error:
        raise _bad(str(error)) from error


def write_tensors(asked: InferenceRequest, predictions: Predictions, model: ServedModel) -> Response:
    """Return the tensors that were asked for, all without such a wish. ``RequestError`` (400) if there is no such."""
    tensors = _outputs(predictions, model.description)
    wanted = {output.name: output.parameters for output in asked.outputs} or {name: {} for name in tensors}
    unknown = next((name for name in wanted if name not in tensors), None)
    if unknown is not None:
        raise _bad(f"output {unknown[:80]!r}: the model has {', '.join(tensors)}")
    all_binary = asked.parameters.get("binary_data_output") is True
    parts = [
        output_tensor(name, tensors[name], binary=parameters.get("binary_data", all_binary) is True)
        for name, parameters in wanted.items()
    ]
    value = {"model_name": model.name, "model_version": str(model.round), "outputs": [part for part, _ in parts]}
    if asked.id is not None:
        value["id"] = asked.id
    answer, binary = json_response(value, headers=model.headers), b"".join(content for _, content in parts)
    if not any("parameters" in part for part, _ in parts):
        return answer
    return Response(
        body=answer.body + binary,
        content_type="application/octet-stream",
        headers=(*model.headers, ("Inference-Header-Content-Length", str(len(answer.body)))),
    )


def _by_column(
    tensors: tuple[RequestInput, ...], values: dict[str, Cells], schema: Schema, max_rows: int
) -> NDArray[Any]:
    columns = {column.name: column for column in needed_columns(schema)}
    unknown = next((tensor.name for tensor in tensors if tensor.name not in columns), None)
    if unknown is not None:
        raise DataError(f"input {unknown[:80]!r}: the model has no such column; see GET /v2/models/NAME")
    rows = tensors[0].shape[0] if tensors[0].shape else 0
    check_count(rows, max_rows)
    for tensor in tensors:
        if rows == 0 or tensor.shape not in {(rows,), (rows, 1)}:
            raise DataError(
                f"input {tensor.name!r}: has the shape {list(tensor.shape)}, and one value per row is [{rows or 'n'}]"
            )
    cells = [_cells(values[tensor.name], tensor, columns[tensor.name]) for tensor in tensors]
    names = tuple(tensor.name for tensor in tensors)
    return encode_batch(RowBatch(names=names, columns=cells, numbers=range(1, rows + 1), unit="row"), schema)


def _cells(values: Cells, tensor: RequestInput, column: Column) -> Cells:
    """Return the cells of a column; truth values as the data write them."""
    if tensor.datatype != BOOL:
        return values
    texts = column.categories if column.kind is ColumnKind.FLAG else FALSE_TRUE
    return [texts[int(value)] for value in values]


def _whole(
    tensors: tuple[RequestInput, ...], values: dict[str, Cells], description: Description, max_rows: int
) -> NDArray[Any]:
    tensor, shape = tensors[0], description.input_shape
    if len(tensors) > 1 or tensor.name != INPUTS or tensor.datatype == BYTES:
        raise DataError(f"the model takes one input of numbers, {INPUTS!r}, of the shape n x {shape_text(shape)}")
    if tensor.shape[1:] != shape or not tensor.shape[0]:
        raise DataError(f"input {INPUTS!r}: has the shape {list(tensor.shape)}, and the model needs {['n', *shape]}")
    check_count(tensor.shape[0], max_rows)
    numbers = np.asarray(values[INPUTS], np.float32).reshape(tensor.shape)
    if not np.isfinite(numbers).all():
        raise DataError(f"input {INPUTS!r}: holds a value that is infinite or no number; give numbers")
    return numbers


def _described_inputs(model: ServedModel) -> list[dict[str, Any]]:
    if model.row_schema is None:
        return [{"name": INPUTS, "datatype": "FP32", "shape": [-1, *model.description.input_shape]}]
    return [
        {"name": column.name, "datatype": "FP64" if column.kind is ColumnKind.NUMBER else BYTES, "shape": [-1]}
        for column in needed_columns(model.row_schema)
    ]


def _described_outputs(model: ServedModel) -> list[dict[str, Any]]:
    blank = model.predictor.predict(np.zeros((1, *model.description.input_shape), np.float32))
    return [
        {
            "name": name,
            "datatype": NAMES[values.dtype] if isinstance(values, np.ndarray) else BYTES,
            "shape": [-1, *(values.shape[1:] if isinstance(values, np.ndarray) else ())],
        }
        for name, values in _outputs(blank, model.description).items()
    ]


def _outputs(predictions: Predictions, description: Description) -> dict[str, NDArray[Any] | list[str]]:
    """Return the answers as tensors by name, the rows first."""
    arrays = {
        "flags": predictions.flags,
        "probabilities": predictions.probabilities,
        "values": predictions.values,
        "anomaly": predictions.anomalous,
        "error": predictions.errors,
    }
    found: dict[str, NDArray[Any] | list[str]] = {name: array for name, array in arrays.items() if array is not None}
    if predictions.classes is None:
        return found
    names = output_names(description)
    return {"class": [names[label] for label in predictions.classes.tolist()], **found}


def _bad(message: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, message)
