"""Answers ``POST /predict``: rows as JSON, JSON lines or CSV, or one image; the answers as JSON, JSON lines or CSV."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from numpy.typing import NDArray

from dslnode.errors import DataError
from dslnode.inference.answers import Answer, answers_of, first_without_answer, write_csv
from dslnode.inference.image_input import image_input
from dslnode.inference.predictor import Predictions
from dslnode.inference.row_batch import (
    Place,
    array_batch,
    check_count,
    csv_batch,
    encode_batch,
    object_batch,
)
from dslnode.serving.messages import JSON, Request, RequestError, Response, json_response, json_value
from dslnode.serving.served_model import ServedModel

Array = NDArray[Any]
CSV, LINES, PNG, JPEG = "text/csv", "application/x-ndjson", "image/png", "image/jpeg"
UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
ROWS = '{"rows": [...]}'


def read_inputs(request: Request, model: ServedModel, max_rows: int) -> Array:
    """Return the inputs (n, *input_shape) in a request's body.

    ``RequestError``: 400 if it is not of the type that it says, 422 if it does not fit the model.
    """
    try:
        return READERS[request.content_type](request.body, model, max_rows)
    except DataError as error:
        raise RequestError(UNPROCESSABLE, str(error)) from error


def predict(inputs: Array, model: ServedModel) -> Predictions:
    """Return the answers to inputs. ``RequestError`` (422) where a model gives no number."""
    predictions = model.predictor.predict(inputs)
    place = first_without_answer(predictions)
    if place is not None:
        raise RequestError(
            UNPROCESSABLE,
            f"the message, row {place + 1}: the model's outputs are no numbers; the row is too far from"
            " what it was trained on",
        )
    return predictions


def write_answers(request: Request, predictions: Predictions, model: ServedModel) -> Response:
    """Return the answers in the form that the request accepts: JSON unless it asks for CSV or JSON lines."""
    answers = answers_of(predictions, model.description)
    accepted = {part.partition(";")[0].strip().lower() for part in request.header("accept").split(",")}
    if CSV in accepted:
        stream = io.StringIO()
        write_csv(answers, stream)
        return _text(stream.getvalue(), CSV, model)
    if LINES in accepted:
        return _text("".join(map(_line, answers)), LINES, model)
    value = {"model": model.name, "round": model.round, "answers": list(answers)}
    return json_response(value, headers=model.headers)


def _text(text: str, content_type: str, model: ServedModel) -> Response:
    return Response(
        body=text.encode(errors="replace"), content_type=f"{content_type}; charset=utf-8", headers=model.headers
    )


def _line(answer: Answer) -> str:
    return f"{json.dumps(answer, ensure_ascii=False)}\n"


def _from_json(content: bytes, model: ServedModel, max_rows: int) -> Array:
    value = json_value(content)
    rows = value.get("rows") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise DataError(f"the message: is neither a list of rows nor {ROWS}; a single row is a list of one")
    return _from_rows(rows, model, range(1, len(rows) + 1), "row", max_rows)


def _from_lines(content: bytes, model: ServedModel, max_rows: int) -> Array:
    lines = [(number, line) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]
    check_count(len(lines), max_rows)
    rows = list(_each_line(lines))
    return _from_rows(rows, model, [number for number, _ in lines], "line", max_rows)


def _each_line(lines: Sequence[tuple[int, bytes]]) -> Iterator[Any]:
    for number, line in lines:
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"the message, line {number}: is no JSON ({error}); give one row per line") from error


def _from_rows(rows: Sequence[Any], model: ServedModel, numbers: Sequence[int], unit: Place, max_rows: int) -> Array:
    check_count(len(rows), max_rows)
    if not rows:
        raise DataError("the message: holds no row; give one at least")
    if model.row_schema is None:
        return array_batch(rows, model.description, numbers, unit)
    return encode_batch(object_batch(rows, model.row_schema, numbers, unit), model.row_schema)


def _from_csv(content: bytes, model: ServedModel, max_rows: int) -> Array:
    if model.row_schema is None:
        raise DataError("the message: the model has no columns of a table; send its inputs as JSON, or as an image")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the message is no UTF-8 ({error.reason}); encode it so") from error
    return encode_batch(csv_batch(text, max_rows), model.row_schema)


def _from_image(content: bytes, model: ServedModel, _max_rows: int) -> Array:
    return image_input(content, model.description)


READERS: dict[str, Callable[[bytes, ServedModel, int], Array]] = {
    JSON: _from_json,
    LINES: _from_lines,
    CSV: _from_csv,
    PNG: _from_image,
    JPEG: _from_image,
}
"""How a body is read, by its type."""
