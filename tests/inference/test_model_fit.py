"""What does not fit in a model is refused when it is read and wherever it would run, with the tensor's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from dslnode.errors import ModelError
from dslnode.inference import operations as op
from dslnode.inference.c_source import c_source
from dslnode.inference.levels import Levels
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.model_fit import check_fit, shapes_of
from dslnode.inference.model_header import Layer
from dslnode.inference.numpy_runtime import run
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor
from dslnode.inference.rows import trial_rows
from dslnode.inference.saved_arrays import LOCAL, MASK, model_from_arrays
from dslnode.inference.torch_model import torch_module, torch_program
from tests.inference.test_model_file import described, example

Array = NDArray[np.float32]
Shape = tuple[int, ...]


def numbers(*shape: int) -> Array:
    return np.random.default_rng(3).uniform(0.5, 1.5, shape).astype(np.float32)


def of_operations(
    operations: tuple[op.Operation, ...], shape: Shape, outputs: int, **tensors: Array
) -> PersonalModelFile:
    """Return a model with a layer that no operation uses, so that all weights are tensors that a test can change."""
    description = described(
        operations=operations, input_shape=shape, outputs=outputs, layers=(Layer(name="w", shape=(2, 2), scale=1.0),)
    )
    return replace(example(), description=description, mask=np.ones(4, np.uint8), tensors=tensors)


CONVOLUTION = op.Convolution(weight="a", bias="b", stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
MODELS = {
    "linear": of_operations((op.Linear(weight="a", bias="b"),), (5,), 3, a=numbers(3, 5), b=numbers(3)),
    "linear on steps": of_operations(
        (op.Linear(weight="a", bias="b"), op.Flatten()), (4, 5), 12, a=numbers(3, 5), b=numbers(3)
    ),
    "convolution": of_operations((CONVOLUTION, op.Flatten()), (4, 7, 8), 144, a=numbers(6, 2, 3, 2), b=numbers(6)),
    "convolution of a series": of_operations(
        (op.StepsLast(), op.Convolution(weight="a", stride=(1,), padding=(1,), dilation=(1,)), op.Flatten()),
        (6, 3),
        12,
        a=numbers(2, 3, 3),
    ),
    "norm": of_operations(
        (op.Norm(mean="a", variance="b", gain="c", shift="d", epsilon=1e-5), op.Flatten()),
        (3, 4, 2),
        24,
        **dict.fromkeys("abcd", numbers(3)),
    ),
    "affine": of_operations((op.Affine(gain="a", shift="b"),), (3,), 3, a=numbers(3), b=numbers(3)),
    "gru": of_operations(
        (op.Gru(input_weight="a", state_weight="b", input_bias="c", state_bias="d"),),
        (5, 2),
        4,
        a=numbers(12, 2),
        b=numbers(12, 4),
        c=numbers(12),
        d=numbers(12),
    ),
    "gru with one bias": of_operations(
        (op.Gru(input_weight="a", state_weight="b", state_bias="d"),),
        (5, 2),
        4,
        a=numbers(12, 2),
        b=numbers(12, 4),
        d=numbers(12),
    ),
    "add inputs": of_operations(
        (op.SubtractLast(columns=(0, 2)), op.Flatten(), op.Linear(weight="a"), op.AddInputs(places=(9, 11), gain="b")),
        (4, 3),
        2,
        a=numbers(2, 12),
        b=numbers(2),
    ),
    "pooling": of_operations(
        (
            op.LocalResponse(size=3, alpha=1e-4, beta=0.75, k=1),
            op.Activation(kind="relu"),
            op.Pool(kind="max", kernel=(3, 2), stride=(2, 2), padding=(1, 0), partial=True),
            op.Pool(kind="mean", kernel=(2, 2), stride=(1, 2), padding=(0, 1)),
            op.GlobalMean(),
            op.Flatten(),
        ),
        (4, 8, 7),
        4,
    ),
}
WRITERS: dict[str, Callable[[PersonalModelFile, Array], object]] = {
    "numpy": lambda model, rows: Predictor(model).outputs(rows),
    "c": c_source,
    "torch": lambda model, _: torch_module(model),
    "torch program": torch_program,
}


def onnx(model: PersonalModelFile, rows: Array) -> object:
    pytest.importorskip("onnxruntime")
    from dslnode.inference.onnx_model import onnx_model

    return onnx_model(model, rows)


WRITERS["onnx"] = onnx


def other_shapes(shape: Shape) -> Iterator[Shape]:
    """Yield shapes that numpy would broadcast or reshape, and some that it would not."""
    yield from {(), (0,), (1,), (1,) * len(shape), (1, *shape), (*shape, 1), (shape[0] + 1, *shape[1:])} - {shape}
    yield (2 * shape[0], *shape[1:])
    yield (*shape[:-1], 0)


DAMAGED = [
    (kind, name, shape)
    for kind, model in MODELS.items()
    for name, tensor in model.tensors.items()
    for shape in sorted(set(other_shapes(tensor.shape)))
]


def test_there_is_a_model_of_every_operation() -> None:
    used = {type(operation) for model in MODELS.values() for operation in model.description.operations}
    assert used == set(get_args(op.Operation))


@pytest.mark.parametrize("kind", MODELS)
def test_what_fits_is_followed_as_numpy_computes_it(kind: str) -> None:
    model = unpack(pack(MODELS[kind]))
    operations, rows = model.description.operations, trial_rows(model.description, None, 3)
    found = [run(operations[:count], model.weights(), rows).shape[1:] for count in range(1, len(operations) + 1)]
    assert shapes_of(model) == found
    torch_program(model, rows)


@pytest.mark.parametrize(("kind", "name", "shape"), DAMAGED)
def test_a_tensor_of_another_shape_is_refused_on_reading_and_wherever_it_would_run(
    kind: str, name: str, shape: Shape
) -> None:
    model = MODELS[kind]
    damaged = replace(model, tensors={**model.tensors, name: np.ones(shape, np.float32)})
    complaint = r"^has an operation \d \(\w+\) that does not fit values of the shape|^gives values of the shape"
    with pytest.raises(ValueError, match=complaint):
        unpack(pack(damaged))
    arrays = {LOCAL + name: tensor for name, tensor in damaged.tensors.items()} | {MASK: np.packbits(damaged.mask)}
    with pytest.raises(ValueError, match=complaint):
        model_from_arrays(damaged.description, arrays, round_number=1, score=None, threshold=None)
    for write in WRITERS.values():
        with pytest.raises(ModelError, match=r"does not fit values of the shape|gives values of the shape"):
            write(damaged, np.zeros((2, *model.description.input_shape), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, model in MODELS.items() for name in model.tensors])
def test_a_value_that_is_not_finite_is_refused(kind: str, name: str, value: float) -> None:
    tensors = {name: tensor.copy() for name, tensor in MODELS[kind].tensors.items()}
    tensors[name].flat[-1] = value
    damaged = replace(MODELS[kind], tensors=tensors)
    with pytest.raises(ValueError, match=f"^has a tensor {name} with values that are infinite or no numbers"):
        unpack(pack(damaged))
    for write in WRITERS.values():
        with pytest.raises(ModelError, match=f"the model has a tensor {name} with"):
            write(damaged, np.zeros((2, *damaged.description.input_shape), np.float32))


@pytest.mark.parametrize("operations", [(), MODELS["pooling"].description.operations])
def test_tensors_that_no_operation_names_may_hold_anything(operations: tuple[op.Operation, ...]) -> None:
    model = MODELS["pooling"]
    own = replace(
        model,
        description=described(base=model.description, operations=operations),
        tensors={"attention_mask": np.full((2, 2), -np.inf, np.float32)},
    )
    assert unpack(pack(own)).tensors["attention_mask"].shape == (2, 2)


@pytest.mark.parametrize(("scale", "step"), [(1e300, 1.0), (1.0, 1e300), (1e30, 1e30)])
def test_a_scale_beyond_float32_is_refused(scale: float, step: float) -> None:
    model = MODELS["affine"]
    description = described(base=model.description, layers=(Layer(name="w", shape=(2, 2), scale=scale),))
    with (
        np.errstate(over="ignore"),
        pytest.raises(ValueError, match="has weights w whose scale is no finite float32"),
    ):
        unpack(pack(replace(model, description=description, levels=Levels(np.ones(4, np.uint8), (step,)))))


def test_a_variance_below_zero_is_refused() -> None:
    model = MODELS["norm"]
    with pytest.raises(ValueError, match="has a tensor b by whose root nothing can be divided"):
        check_fit(replace(model, tensors={**model.tensors, "b": -numbers(3)}))
    with pytest.raises(ValueError, match="has masked weights in the norm of a"):
        check_fit(
            replace(
                model, description=described(base=model.description, layers=(Layer(name="a", shape=(3,), scale=1.0),))
            )
        )


@pytest.mark.parametrize(
    ("operations", "shape", "complaint"),
    [
        ((op.StepsLast(),), (3,), "steps and features"),
        ((op.SubtractLast(columns=(0, 3)),), (4, 3), "no feature 3"),
        ((op.AddInputs(places=(0, 1, 3), gain="a"),), (3,), "no input 3"),
        ((op.AddInputs(places=(0,), gain="a"),), (3,), "adds inputs to 1 outputs"),
        ((op.GlobalMean(),), (3,), "channels with places"),
        ((op.LocalResponse(size=3, alpha=1, beta=1, k=1),), (3,), "channels with places"),
        ((op.Pool(kind="max", kernel=(2,), stride=(2,), padding=(0,)),), (3, 4, 4), "over 1 dimensions"),
        ((op.Pool(kind="max", kernel=(2,), stride=(2, 1), padding=(0,)),), (3, 4), "over 1 dimensions"),
        ((op.Pool(kind="max", kernel=(2,), stride=(2,), padding=(2,)),), (3, 4), "more than half"),
        ((op.Pool(kind="max", kernel=(5,), stride=(2,), padding=(0,)),), (3, 4), "reach over its end"),
        ((op.Convolution(weight="k", stride=(1,), padding=(0,), dilation=(1,), groups=2),), (3, 4), "not 2 groups"),
        ((op.Convolution(weight="a", stride=(1,), padding=(0,), dilation=(1,)),), (3, 4), "which is no kernel"),
        ((op.Convolution(weight="k", stride=(1,), padding=(0,), dilation=(4,)),), (3, 4), "reach over its end"),
        ((op.Flatten(),), (2, 2), r"gives values of the shape \(4,\), not 3 outputs"),
        ((op.Linear(weight="q"),), (3,), "lacks the weights q"),
    ],
)
def test_operations_that_do_not_fit_are_named(
    operations: tuple[op.Operation, ...], shape: Shape, complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint):
        Predictor(of_operations(operations, shape, 3, a=numbers(3), k=numbers(3, 3, 2)))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"task": "anomaly"}, "anomalies among 4 inputs"),
        ({"answers": (0, 2)}, "classes beyond its 2 outputs"),
        ({"task": "regression", "scale": (1.0, 2.0, 3.0)}, "units for another number"),
    ],
)
def test_outputs_that_cannot_mean_what_is_said_are_refused(changes: dict[str, object], complaint: str) -> None:
    weights = (op.Flatten(), op.Linear(weight="a"))
    model = of_operations(weights, (2, 2), 2, a=numbers(2, 4))
    unpack(pack(model))
    description = described(base=model.description, **changes)
    with pytest.raises(ValueError, match=complaint):
        unpack(pack(replace(model, description=description)))


def test_the_message_says_what_and_where() -> None:
    model = replace(MODELS["affine"], tensors={"a": numbers(3), "b": numbers(1)})
    text = (
        "has an operation 0 (affine) that does not fit values of the shape (3,): its tensor b has the shape (1,), not"
    )
    with pytest.raises(ValueError, match=re.escape(f"{text} (3,); export the model again")):
        check_fit(model)
