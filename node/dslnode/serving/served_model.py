"""The model that answers now: ready to predict, replaced as one reference, so that no request sees half of two."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from dslnode.data.schema import Schema
from dslnode.inference.model_file import pack
from dslnode.inference.model_header import Description
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor
from dslnode.inference.row_batch import needed_columns, row_schema
from dslnode.serving.messages import Headers

UNNAMED = "model"


class ServedModel:
    """A model that has answered once, so that its weights are there and its operations fit.

    Raises ``ModelError`` if it cannot answer without torch and its own code, or its file is damaged.
    """

    def __init__(self, model: PersonalModelFile) -> None:
        self._model = model
        self.predictor = Predictor(model)
        self.predictor.outputs(np.zeros((1, *model.description.input_shape), np.float32))

    @property
    def description(self) -> Description:
        """What the model is."""
        return self._model.description

    @property
    def name(self) -> str:
        """By what name clients ask for it: that of the run in which it was learned."""
        return self.description.run_id or UNNAMED

    @property
    def round(self) -> int:
        """After how many finished rounds it was as it is."""
        return self._model.round

    @property
    def headers(self) -> Headers:
        """Say in each response which model has answered."""
        return (("Dslnode-Model", quote(self.name)), ("Dslnode-Round", str(self.round)))

    @cached_property
    def file(self) -> bytes:
        """The model's file, without a seal."""
        return pack(self._model)

    @cached_property
    def row_schema(self) -> Schema | None:
        """The columns that rows need; None for a model of images or arrays."""
        return row_schema(self.description)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a client needs to know to ask, and to understand the answers."""
        description, schema = self.description, self.row_schema
        columns = [] if schema is None else needed_columns(schema)
        facts = {
            "model": self.name,
            "round": self.round,
            "node": description.node,
            "architecture": description.model,
            "task": description.task,
            "names": list(description.names),
            "units": list(description.units),
            "score": None if self._model.score is None else msgspec.structs.asdict(self._model.score),
            "threshold": self._model.threshold,
            "input_shape": list(description.input_shape),
            "full_scale": description.full_scale,
            "columns": [column.model_dump(mode="json", exclude_defaults=True) for column in columns],
        }
        if schema is not None and schema.series is not None:
            facts["window"] = schema.series.window
        return facts


class ModelSlot:
    """Holds the model that answers now; None until there is one. A request keeps the one that it began with."""

    def __init__(self, model: ServedModel | None = None) -> None:
        self.current = model

    def replace(self, model: PersonalModelFile) -> None:
        """Let another model answer from now on. Raises ``ModelError``, and keeps the former one, if it cannot."""
        self.current = ServedModel(model)
