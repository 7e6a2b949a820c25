"""Writes a personal model as ONNX, with its normalisation inside and its meaning as metadata.

Values are float32. Weights are float32, or exact int8: -1, 0 and 1, and the scale of their layer, of which onnxruntime
makes the same float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.scaling import LIMIT
from dslnode.errors import ModelError, SettingsError
from dslnode.inference import operations as op
from dslnode.inference.export_check import checked_difference, metadata
from dslnode.inference.input_units import as_measured, input_units
from dslnode.inference.model_fit import shapes_of
from dslnode.inference.numpy_runtime import folded
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor

OPERATOR_SET = 20
"""The first with the exact GELU."""
FORMAT = 9
"""The ONNX format that came with it, so that older runtimes read the file, too."""
ACTIVATIONS = {"relu": "Relu", "leaky_relu": "LeakyRelu", "elu": "Elu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
Array = NDArray[np.float32]


def onnx_model(model: PersonalModelFile, rows: Array, *, int8: bool = False) -> tuple[bytes, float]:
    """Return a file's bytes, and the largest difference of outputs to numpy's on rows float32 (n, *input_shape).

    The rows are as `read_examples` gives them; the file takes numbers of a table in their units. With ``int8`` masked
    weights are int8. Raises ``SettingsError`` without the extra, ``ModelError`` if onnxruntime answers anything else
    than numpy, or with int8 anything at all else than with float32, and for a model without masked weights that is
    to be int8.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            "--format onnx needs the packages onnx and onnxruntime; install them with: pip install 'dslnode[export]'"
        ) from error
    if int8 and not model.description.layers:
        raise ModelError("the model's weights are any numbers, which int8 does not hold exactly; use --format onnx")
    expected = Predictor(model).outputs(rows)  # refuses a model whose operations do not fit, too
    content, inputs = _content(model, int8=False), as_measured(model.description, rows)
    found = _run(content, inputs)
    if int8:
        content, in_float32 = _content(model, int8=True), found
        found = _run(content, inputs)
        checked_difference(model, found, in_float32, rows, runtime="onnxruntime with int8", exact=True)
    return content, checked_difference(model, found, expected, rows, runtime="onnxruntime")


def _run(content: bytes, inputs: Array) -> Array:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found: Array = session.run(["outputs"], {"inputs": inputs})[0]
    return found


def _content(model: PersonalModelFile, *, int8: bool) -> bytes:
    from onnx import TensorProto, checker, helper

    description, graph = model.description, _Graph(model, int8=int8)
    if description.full_scale != 1:
        graph.add("Div", graph.constant(np.float32(description.full_scale)))
    _normalise(graph)
    graph.first = graph.here
    for operation, shape in zip(description.operations, shapes_of(model), strict=True):
        emit(operation, graph)
        graph.shape = shape
    graph.nodes[-1].output[0] = "outputs"
    inputs = helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", *description.input_shape])
    outputs = helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["n", description.outputs])
    body = helper.make_graph(graph.nodes, "personal_model", [inputs], [outputs], graph.constants)
    opset = [helper.make_opsetid("", OPERATOR_SET)]
    built = helper.make_model(body, opset_imports=opset, ir_version=FORMAT, producer_name="dslnode")
    helper.set_model_props(built, metadata(model))
    checker.check_model(built)
    return bytes(built.SerializeToString(deterministic=True))


def _normalise(graph: _Graph) -> None:
    units = input_units(graph.model.description)
    if units is None:
        return
    graph.add("Sub", graph.constant(units.centre))
    graph.add("Div", graph.constant(units.scale))
    scaled = graph.here
    missing = graph.add("IsNaN")
    graph.add_to("Where", [missing, graph.constant(np.float32(0)), scaled])
    graph.add("Clip", graph.constant(np.float32(-LIMIT)), graph.constant(np.float32(LIMIT)))


class _Graph:
    """The nodes so far, and the name of the present values."""

    def __init__(self, model: PersonalModelFile, *, int8: bool) -> None:
        self.model = model
        self.weights = model.weights()
        names = [layer.name for layer in model.description.layers]
        self._units = dict(zip(names, model.units(), strict=True)) if int8 else {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.shape = model.description.input_shape
        """That of the present values of an example."""
        self.here = "inputs"
        self.first = "inputs"
        """The values that the first operation gets."""

    def add(self, kind: str, *more: str, **attributes: Any) -> str:
        """Add a node on the present values and ``more``; its output becomes the present values."""
        return self.add_to(kind, [self.here, *more], **attributes)

    def add_to(self, kind: str, inputs: Sequence[str], *, output: int = 0, **attributes: Any) -> str:
        """Add a node on other values; of several outputs the one that is numbered becomes the present values."""
        from onnx import helper

        self.here = f"values_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [*[""] * output, self.here], **attributes))
        return self.here

    def constant(self, values: Any) -> str:
        """Return the name of a constant, which is added."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name))
        return name

    def weight(self, name: str, arrange: Callable[[Array], Array] = np.asarray) -> str:
        """Return the name of a tensor's values, arranged; masked ones are int8 and their unit if that is asked for."""
        values = arrange(self.weights[name])
        if name not in self._units:
            return self.constant(values)
        from onnx import TensorProto, helper

        whole, weight = f"whole_{len(self.nodes)}", f"weight_{len(self.nodes)}"
        unit = self._units[name]
        small, scale = self.constant(np.rint(values / unit).astype(np.int8)), self.constant(unit)
        # Not DequantizeLinear: runtimes fold a product of constants when they load, and then run as with float32
        self.nodes.append(helper.make_node("Cast", [small], [whole], to=TensorProto.FLOAT))
        self.nodes.append(helper.make_node("Mul", [whole, scale], [weight]))
        return weight

    def bias(self, name: str | None) -> list[str]:
        """Return the name of a bias, or nothing."""
        return [] if name is None else [self.constant(self.weights[name])]


@singledispatch
def emit(operation: op.Operation, _graph: _Graph) -> None:
    """Add the nodes of an operation. Raises ``ModelError`` for one that ONNX lacks."""
    raise ModelError(f"the operation {operation.op} is not written as ONNX; use --format dslm")


@emit.register
def _flatten(_operation: op.Flatten, graph: _Graph) -> None:
    graph.add("Flatten", axis=1)


@emit.register
def _steps_last(_operation: op.StepsLast, graph: _Graph) -> None:
    graph.add("Transpose", perm=[0, 2, 1])


@emit.register
def _subtract_last(operation: op.SubtractLast, graph: _Graph) -> None:
    subtracted = np.zeros(graph.shape[-1], np.float32)
    subtracted[list(operation.columns)] = 1
    values = graph.here
    graph.add("Gather", graph.constant(np.array([-1], np.int64)), axis=1)
    graph.add_to("Sub", [values, graph.add("Mul", graph.constant(subtracted))])


@emit.register
def _add_inputs(operation: op.AddInputs, graph: _Graph) -> None:
    values = graph.here
    graph.add_to("Flatten", [graph.first], axis=1)
    graph.add("Gather", graph.constant(np.array(operation.places, np.int64)), axis=1)
    graph.add_to("Add", [values, graph.add("Mul", graph.constant(graph.weights[operation.gain]))])


@emit.register
def _linear(operation: op.Linear, graph: _Graph) -> None:
    if len(graph.shape) != 1:
        raise ModelError(
            f"a linear layer on values of {len(graph.shape)} dimensions is not written as ONNX; flatten them"
        )
    graph.add("Gemm", graph.weight(operation.weight), *graph.bias(operation.bias), transB=1)


@emit.register
def _convolution(operation: op.Convolution, graph: _Graph) -> None:
    graph.add(
        "Conv",
        graph.weight(operation.weight),
        *graph.bias(operation.bias),
        strides=operation.stride,
        pads=operation.padding * 2,
        dilations=operation.dilation,
        group=operation.groups,
    )


@emit.register
def _pool(operation: op.Pool, graph: _Graph) -> None:
    more = {"ceil_mode": int(operation.partial)}
    if operation.kind == "mean":
        more["count_include_pad"] = 1
    sizes = {"kernel_shape": operation.kernel, "strides": operation.stride, "pads": operation.padding * 2}
    graph.add("MaxPool" if operation.kind == "max" else "AveragePool", **sizes, **more)


@emit.register
def _global_mean(_operation: op.GlobalMean, graph: _Graph) -> None:
    graph.add("GlobalAveragePool")


@emit.register
def _activation(operation: op.Activation, graph: _Graph) -> None:
    if operation.kind in ("relu6", "hardtanh"):
        low, high = (0, 6) if operation.kind == "relu6" else (-1, 1)
        graph.add("Clip", graph.constant(np.float32(low)), graph.constant(np.float32(high)))
    elif operation.kind == "silu":
        values = graph.here
        graph.add_to("Mul", [values, graph.add("Sigmoid")])
    elif operation.kind == "gelu":
        graph.add("Gelu")
    else:
        alpha = {"leaky_relu": operation.slope, "elu": operation.alpha}.get(operation.kind)
        graph.add(ACTIVATIONS[operation.kind], **({} if alpha is None else {"alpha": float(alpha)}))


@emit.register
def _norm(operation: op.Norm, graph: _Graph) -> None:
    gain, shift = folded(operation, graph.weights)
    mean, variance = np.zeros_like(gain), np.ones_like(gain)
    graph.add("BatchNormalization", *map(graph.constant, (gain, shift, mean, variance)), epsilon=0.0)


@emit.register
def _affine(operation: op.Affine, graph: _Graph) -> None:
    gain, shift = (graph.weights[name] for name in (operation.gain, operation.shift))
    mean, variance = np.zeros_like(gain), np.ones_like(gain)
    graph.add("BatchNormalization", *map(graph.constant, (gain, shift, mean, variance)), epsilon=0.0)


@emit.register
def _local_response(operation: op.LocalResponse, graph: _Graph) -> None:
    if operation.size % 2 == 0:
        raise ModelError("ONNX centres an even local response on another channel; use --format dslm")
    if len(graph.shape) != 3:
        raise ModelError("onnxruntime has a local response norm for images alone; use --format dslm")
    numbers = {"alpha": operation.alpha, "beta": operation.beta, "bias": operation.k}
    graph.add("LRN", size=operation.size, **{name: float(value) for name, value in numbers.items()})


@emit.register
def _gru(operation: op.Gru, graph: _Graph) -> None:
    """Add a GRU, whose gates ONNX has in the order update, reset, new, and whose steps come first."""
    width = graph.weights[operation.state_weight].shape[1]
    graph.add("Transpose", perm=[1, 0, 2])
    biases = [
        np.zeros(3 * width, np.float32) if name is None else _reordered(graph.weights[name])
        for name in (operation.input_bias, operation.state_bias)
    ]
    weights = [
        graph.weight(name, lambda values: _reordered(values)[np.newaxis])
        for name in (operation.input_weight, operation.state_weight)
    ]
    bias = graph.constant(np.concatenate(biases)[np.newaxis])
    graph.add_to("GRU", [graph.here, *weights, bias], output=1, hidden_size=width, linear_before_reset=1)
    graph.add("Squeeze", graph.constant(np.zeros(1, np.int64)))


def _reordered(values: Array) -> Array:
    reset, update, fresh = np.split(values, 3)
    return np.concatenate([update, reset, fresh])
