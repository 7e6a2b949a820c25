"""The formats in which models are written and answers printed: known before anything heavy is loaded."""

from __future__ import annotations

from enum import StrEnum


class ModelFormat(StrEnum):
    """How a model can be written."""

    DSLM = "dslm"
    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"
    TORCH = "torch"
    C = "c"


class AnswerFormat(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
