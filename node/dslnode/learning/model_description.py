"""Describes a learner's personal models, so that a mask and a few tensors are all that is missing for a file."""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
from torch import Tensor

from dslnode.data.dataset import DataSet
from dslnode.errors import ModelError
from dslnode.inference.model_header import MAX_SCALED_FEATURES, Description, InputScaling, Layer, Score
from dslnode.inference.operations import ANSWER_UNITS, Operation
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.learning.learner import Learner
from dslnode.learning.operations_of import operations_of
from dslnode.learning.options import InitializationOptions, TrainingOptions


def describe_model(learner: Learner, *, model: str, run_id: str = "", node: str = "", made_by: str = "") -> Description:
    """Return what all models of this learner have in common. ``model`` is the name by which it can be built again."""
    data, network, target = learner.data, learner.network, learner.data.target
    centre, scale = learner.task.original_units()
    answers = np.flatnonzero(network.logit_offset.numpy() == 0)
    return Description(
        model=model,
        run_id=run_id,
        node=node,
        made_by=made_by,
        network_seed=learner.initialization.network_seed,
        layers=tuple(
            Layer(name=layer.name, shape=layer.shape, scale=abs(float(network.weights[span][0])))
            for layer, span in (network.layout.spans() if learner.pretrained is None else ())
        ),
        input_shape=data.input_shape,
        full_scale=data.train.full_scale * (1.0 if data.scaling is None else data.scaling.full_scale),
        input_scaling=_input_scaling(data),
        outputs=data.output_count,
        answers=tuple(answers.tolist()) if len(answers) < len(network.logit_offset) else (),
        task=target.task,
        names=target.names,
        units=target.units,
        centre=_per_output(centre, learner),
        scale=_per_output(scale, learner),
        settings=_settings(learner.options) | _settings(learner.initialization),
        schema_values=None if data.schema is None else data.schema.model_dump(mode="json"),
        operations=_operations(learner),
    )


def personal_model(learner: Learner, description: Description, *, best: bool = True) -> PersonalModelFile:
    """Return the best model that is kept, or the present one, as a file holds it."""
    kept = learner.best if best else None
    local = learner.local_tensors() if kept is None else kept.local
    score = None if kept is None else Score(name=learner.task.score_name, value=kept.score)
    parts = learner.parts_of(learner.form if kept is None else kept.form)
    tensors = {name: tensor.float().numpy() for name, tensor in local.items() if tensor.is_floating_point()}
    return PersonalModelFile(
        description=description,
        round=learner.finished_rounds if kept is None else kept.round,
        mask=np.unpackbits(parts.packed, count=description.mask_layout.size, bitorder="little"),
        levels=parts.levels,
        tensors={**tensors, **parts.kept, **learner.answer_tensors},
        score=score,
        threshold=learner.threshold,
    )


def _operations(learner: Learner) -> tuple[Operation, ...]:
    """Return what the model does, to answers in their units; nothing if that cannot be said without torch."""
    try:
        found = operations_of(learner.network.model)
    except ModelError:
        return ()
    return (*found, ANSWER_UNITS) if learner.answer_tensors else found


def _per_output(numbers: Tensor, learner: Learner) -> tuple[float, ...]:
    """Return a number for each output where outputs are numbers in units, else nothing."""
    if learner.data.train.values is None or not numbers.ndim:
        return ()
    return tuple(numbers.tolist())


def _input_scaling(data: DataSet) -> InputScaling | None:
    """Return how numbers of arrays are scaled; None for more features than a file describes."""
    scaling = data.scaling
    if scaling is None or len(scaling.centre) > MAX_SCALED_FEATURES:
        return None
    return InputScaling(centre=scaling.centre, scale=scaling.scale)


def _settings(options: TrainingOptions | InitializationOptions) -> dict[str, str | float | int | bool | None]:
    """Return options that are not the default, as far as they are plain values."""
    defaults = {field.name: field.default for field in fields(options)}
    return {
        name: value
        for name, value in asdict(options).items()
        if value != defaults[name] and isinstance(value, (str, float, int, bool, type(None)))
    }
