"""Writes a personal model as C99 source for microcontrollers: no heap, no files, additions and one scale per unit.

A weight is 0 or plus or minus its layer's scale, so a layer is two arrays of bits: one per weight that says whether it
is kept, and one per kept weight that says whether it is plus. Text from a model's file becomes string constants only,
with everything but plain characters escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from dslnode.data.scaling import LIMIT
from dslnode.data.target import Task
from dslnode.errors import ModelError
from dslnode.inference import operations as op
from dslnode.inference.answers import output_names
from dslnode.inference.c_functions import ACTIVATIONS, BINARY, FUNCTIONS, LEVELS, NEEDS, WEIGHTS
from dslnode.inference.c_test_program import test_program
from dslnode.inference.c_text import array, bit_array, float_constant, level_array, string_constant
from dslnode.inference.input_units import input_units
from dslnode.inference.numpy_runtime import folded, window_overhang
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor

Shape = tuple[int, ...]


def c_source(model: PersonalModelFile, rows: NDArray[np.float32]) -> dict[str, str]:
    """Return the text of ``model.h``, ``model.c`` and ``test.c`` by name.

    ``rows`` float32 (n, *input_shape), as `read_examples` gives them, are what the test program tries. Raises
    ``ModelError`` that names the operation that cannot be written.
    """
    outputs = Predictor(model).outputs(rows)  # refuses a model whose operations do not fit, too
    program = _Program(model)
    for operation in model.description.operations:
        emit(operation, program)
    return {"model.h": _header(model), "model.c": _body(program), "test.c": test_program(model, rows, outputs)}


class _Program:
    """What is written so far: constants, calls, and where the values are (in buffer 0 or 1) in which shape."""

    def __init__(self, model: PersonalModelFile) -> None:
        self.model = model
        self.weights = model.weights()
        self.units = input_units(model.description)
        self.shape: Shape = model.description.input_shape
        self.place = 0
        self.sizes = [math.prod(self.shape), 1]
        self.constants: list[str] = []
        self.calls: list[str] = []
        self.used: set[str] = set()
        self.largest_plane = 0
        self.widest_state = 0
        self._masks = {
            layer.name: (unit, span)
            for unit, (layer, span) in zip(model.units(), model.description.mask_layout.spans(), strict=True)
        }

    @property
    def here(self) -> str:
        """The buffer with the present values."""
        return f"buffer_{self.place}"

    def call(self, function: str, *arguments: object) -> None:
        """Write a call on the present values, which it changes in place."""
        self.used |= {function, *NEEDS.get(function, ())}
        self.calls.append(f"{function}({', '.join(map(str, (self.here, *arguments)))});")

    def call_to(self, shape: Shape, function: str, *arguments: object) -> None:
        """Write a call that puts values of another shape into the other buffer."""
        other = 1 - self.place
        self.call(function, f"buffer_{other}", *arguments)
        self.shape, self.place = shape, other
        self.sizes[other] = max(self.sizes[other], math.prod(shape))

    def masked(self, name: str) -> str:
        """Return the address of a masked tensor's constants, which are written here."""
        if name not in self._masks:
            raise ModelError(f"the weights {name} are not masked, so they cannot be written as bits; use --format onnx")
        unit, span = self._masks[name]
        number, mask = len(self.constants), self.model.mask[span]
        kept, outputs = int(mask.sum()), len(self.weights[name])
        plus = (self.weights[name].ravel() > 0)[mask == 1]
        self.constants.append(bit_array(f"kept_{number}", mask))
        self.constants.append(bit_array(f"plus_{number}", plus))
        fields = f"kept_{number}, plus_{number}, "
        if self.model.levels is not None:
            codes = self.model.levels.codes[span][mask == 1]
            width = int(codes.max(initial=1)).bit_length()
            self.constants.append(level_array(f"levels_{number}", codes, width))
            fields += f"levels_{number}, {width}, "
        fields += float_constant(unit)
        declaration = f"static const struct weights weights_{number} = {{{fields}"
        wide, taps = (kept + outputs, kept + outputs) if self._has_taps(name) else (len(mask), 1)
        fast = [f"static float wide_{number}[{wide}];", f"static uint32_t taps_{number}[{taps}];"]
        fast += [f"static int is_filled_{number};"]
        fast += [f"{declaration}, wide_{number}, taps_{number}, &is_filled_{number}}};"]
        self.constants += ["#ifdef DSLNODE_FAST", *fast, "#else", f"{declaration}}};", "#endif"]
        self.used.add("weights")
        return f"&weights_{number}"

    def _has_taps(self, name: str) -> bool:
        """Return whether the tensor is that of a convolution: (outputs, channels, *kernel)."""
        return self.weights[name].ndim > 2

    def numbers(self, values: NDArray[np.float32] | None) -> str:
        """Return the name of an array of constants, which is written here."""
        if values is None:
            return "NULL"
        name = f"numbers_{len(self.constants)}"
        self.constants.append(array(f"static const float {name}[{values.size}]", map(float_constant, values.ravel())))
        return name

    def record(self, kind: str, values: Sequence[int]) -> str:
        """Return the address of a struct of sizes, which is written here."""
        name = f"{kind}_{len(self.constants)}"
        self.constants.append(f"static const struct {kind} {name} = {{{', '.join(map(str, values))}}};")
        return f"&{name}"

    def tensor(self, name: str | None) -> NDArray[np.float32] | None:
        """Return a tensor by its name, if it has one."""
        return None if name is None else self.weights[name]


@singledispatch
def emit(operation: op.Operation, _program: _Program) -> None:
    """Write an operation. Raises ``ModelError`` for one that is not written in C."""
    raise ModelError(f"the operation {operation.op} is not written in C; use --format onnx or dslm")


@emit.register
def _flatten(_operation: op.Flatten, program: _Program) -> None:
    program.shape = (math.prod(program.shape),)


@emit.register
def _steps_last(_operation: op.StepsLast, program: _Program) -> None:
    steps, features = program.shape
    program.call_to((features, steps), "steps_last", steps, features)


@emit.register
def _linear(operation: op.Linear, program: _Program) -> None:
    if len(program.shape) != 1:
        raise ModelError(
            f"a linear layer on values of {len(program.shape)} dimensions is not written in C; flatten them"
        )
    outputs, inputs = program.weights[operation.weight].shape
    weights, bias = program.masked(operation.weight), program.numbers(program.tensor(operation.bias))
    program.call_to((outputs,), "linear", inputs, outputs, weights, bias)


@emit.register
def _subtract_last(operation: op.SubtractLast, program: _Program) -> None:
    steps, features = program.shape
    for column in operation.columns:
        last = f"{program.here}[{(steps - 1) * features + column}]"
        program.calls += [
            f"for (size_t step = 0; step < {steps - 1}; step++) {{",
            f"    {program.here}[step * {features} + {column}] -= {last};",
            "}",
            f"{last} = 0.0f;",
        ]


@emit.register
def _add_inputs(operation: op.AddInputs, program: _Program) -> None:
    for output, (place, gain) in enumerate(zip(operation.places, program.weights[operation.gain], strict=True)):
        program.calls.append(f"{program.here}[{output}] += {float_constant(gain)} * input(in, {place});")


@emit.register
def _convolution(operation: op.Convolution, program: _Program) -> None:
    outputs, channels, *kernel = program.weights[operation.weight].shape
    _pad(program, operation.padding, (0,) * len(kernel), 0.0)
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, operation.dilation, strict=True)]
    places = _places(program.shape[1:], reach, operation.stride)
    planes = (_plane(program.shape[1:]), _plane(kernel), _plane(operation.stride), _plane(operation.dilation))
    sizes = [size for plane in (*planes, _plane(places)) for size in plane]
    shape = program.record("convolution", [operation.groups, channels, outputs, *sizes])
    weights, bias = program.masked(operation.weight), program.numbers(program.tensor(operation.bias))
    program.largest_plane = max(program.largest_plane, _plane(places)[0] * program.shape[-1])
    program.call_to((outputs, *places), "convolution", shape, weights, bias)


@emit.register
def _pool(operation: op.Pool, program: _Program) -> None:
    sizes = zip(program.shape[1:], operation.kernel, operation.stride, operation.padding, strict=True)
    extra = [window_overhang(*each) if operation.partial else 0 for each in sizes]
    _pad(program, operation.padding, extra, -math.inf if operation.kind == "max" else 0.0)
    _pooled(program, operation.kernel, operation.stride, mean=operation.kind == "mean")


@emit.register
def _global_mean(_operation: op.GlobalMean, program: _Program) -> None:
    _pooled(program, program.shape[1:], program.shape[1:], mean=True)


def _pooled(program: _Program, kernel: Sequence[int], stride: Sequence[int], *, mean: bool) -> None:
    channels, *sides = program.shape
    places = _places(sides, kernel, stride)
    planes = (_plane(sides), _plane(kernel), _plane(stride), _plane(places))
    shape = program.record("pool", [channels, *(size for plane in planes for size in plane), int(mean)])
    program.call_to((channels, *places), "pool", shape)


@emit.register
def _activation(operation: op.Activation, program: _Program) -> None:
    slope, alpha = float_constant(operation.slope), float_constant(operation.alpha)
    formula = ACTIVATIONS[operation.kind].format(slope=slope, alpha=alpha)
    if "sigmoid" in formula:
        program.used.add("sigmoid")
    program.calls += [
        f"for (size_t place = 0; place < {math.prod(program.shape)}; place++) {{",
        f"    float value = {program.here}[place];",
        f"    {program.here}[place] = {formula};",
        "}",
    ]


@emit.register
def _norm(operation: op.Norm, program: _Program) -> None:
    gain, shift = folded(operation, program.weights)
    program.call("affine", *_channels(program.shape), program.numbers(gain), program.numbers(shift))


@emit.register
def _affine(operation: op.Affine, program: _Program) -> None:
    gain, shift = (program.numbers(program.weights[name]) for name in (operation.gain, operation.shift))
    program.call("affine", *_channels(program.shape), gain, shift)


@emit.register
def _gru(operation: op.Gru, program: _Program) -> None:
    steps, features = program.shape
    width = program.weights[operation.state_weight].shape[1]
    arguments: list[str] = []
    for weight, bias in (
        (operation.input_weight, operation.input_bias),
        (operation.state_weight, operation.state_bias),
    ):
        arguments += [program.masked(weight), program.numbers(program.tensor(bias))]
    program.widest_state = max(program.widest_state, width)
    program.call_to((width,), "gru", steps, features, width, *arguments)


def _pad(program: _Program, padding: Sequence[int], extra: Sequence[int], filler: float) -> None:
    if not any(padding) and not any(extra):
        return
    channels, *sides = program.shape
    ends = [size + more for size, more in zip(padding, extra, strict=True)]
    (above, before), (below, behind) = _plane(padding, 0), _plane(ends, 0)
    padded = tuple(side + first + last for side, first, last in zip(sides, padding, ends, strict=True))
    text = "-INFINITY" if math.isinf(filler) else float_constant(filler)
    program.call_to((channels, *padded), "pad", channels, *_plane(sides), above, below, before, behind, text)


def _plane(sizes: Sequence[int], missing: int = 1) -> tuple[int, int]:
    """Return rows and columns of sizes along one dimension or two: a series has one row."""
    rows, columns = sizes if len(sizes) == 2 else (missing, *sizes)
    return rows, columns


def _places(sides: Sequence[int], reach: Sequence[int], stride: Sequence[int]) -> Shape:
    return tuple((side - size) // step + 1 for side, size, step in zip(sides, reach, stride, strict=True))


def _channels(shape: Shape) -> tuple[int, int]:
    """Return the number of channels, and of places in each."""
    return shape[0], math.prod(shape[1:])


def _header(model: PersonalModelFile) -> str:
    description = model.description
    return f"""/* A personal model, written by dslnode export --format c.
 *
 *     cc -std=c99 -O2 -c model.c              # link it, with -lm
 *     cc -std=c99 -O3 -march=native -DDSLNODE_FAST -c model.c   # for processors with vectors and memory
 *     cc -std=c99 -O2 model.c test.c -lm -o test && ./test
 */
#ifndef DSLNODE_MODEL_H
#define DSLNODE_MODEL_H

#define DSLNODE_INPUTS {math.prod(description.input_shape)}
#define DSLNODE_OUTPUTS {description.outputs}

extern const char dslnode_model[];
extern const char dslnode_task[];
/* What the outputs are called: classes, labels or numbers. */
extern const char *const dslnode_names[DSLNODE_OUTPUTS];

/* Takes DSLNODE_INPUTS numbers, the last dimension fastest: pixels as stored, numbers in their units, NAN for a
 * missing one, categories and flags as 1 or 0, in the order of the schema.
 * Writes DSLNODE_OUTPUTS numbers: {_meaning(description.task)}
 * Returns the class of a classification, 1 for an anomaly, else 0.
 * It has buffers of its own: one call at a time. */
int dslnode_predict(const float *in, float *out);

#endif
"""


def _meaning(task: str) -> str:
    if task in (Task.CLASSIFICATION, Task.MULTILABEL):
        return "scores before softmax, or before the sigmoid of several labels (above 0 is yes)."
    if task == Task.ANOMALY:
        return "what a normal input would look like, as the model sees it."
    return "values in their units."


def _body(program: _Program) -> str:
    description = program.model.description
    names = output_names(description)
    parts = ["#include <math.h>", "#include <stddef.h>", "#include <stdint.h>", '#include "model.h"', ""]
    parts += [f"const char dslnode_model[] = {string_constant(description.model)};"]
    parts += [f"const char dslnode_task[] = {string_constant(description.task)};"]
    parts += [array("const char *const dslnode_names[DSLNODE_OUTPUTS]", map(string_constant, names))]
    sizes = {"LARGEST_PLANE": program.largest_plane, "WIDEST_STATE": program.widest_state}
    parts += [f"#define {name} {size}" for name, size in sizes.items() if size]
    end, read_input = _end(program), _input_function(program)
    weights = WEIGHTS % (BINARY if program.model.levels is None else LEVELS)
    functions = {"weights": weights, **FUNCTIONS}
    parts += [text for name, text in functions.items() if name in program.used]
    parts += [*program.constants, read_input]
    parts += [f"static float buffer_{place}[{size}];" for place, size in enumerate(program.sizes)]
    parts += ["", "int dslnode_predict(const float *in, float *out)", "{"]
    parts += [f"    {line}" for line in (*_copied(), *program.calls, *end)]
    return "\n".join([*parts, "}", ""])


def _input_function(program: _Program) -> str:
    """Return the C function that gives one input as the model sees it."""
    description, units = program.model.description, program.units
    value = f"in[place] / {float_constant(description.full_scale)}"
    if units is None:
        return f"static float input(const float *in, size_t place)\n{{\n    return {value};\n}}\n"
    features, limit = len(units.centre), float_constant(LIMIT)
    centre, scale = program.numbers(units.centre), program.numbers(units.scale)
    return f"""/* In units of its column; what is missing (NaN) becomes the centre. */
static float input(const float *in, size_t place)
{{
    float value = (in[place] - {centre}[place % {features}]) / {scale}[place % {features}];
    return isnan(value) ? 0.0f : value < -{limit} ? -{limit} : value > {limit} ? {limit} : value;
}}
"""


def _copied() -> list[str]:
    return [
        "for (size_t place = 0; place < DSLNODE_INPUTS; place++) {",
        "    buffer_0[place] = input(in, place);",
        "}",
    ]


def _end(program: _Program) -> list[str]:
    """Return the lines that hand out the present values, and say what they mean."""
    description = program.model.description
    if description.task == Task.CLASSIFICATION:
        return _class_end(program)
    if description.task == Task.ANOMALY:
        return _anomaly_end(program)
    value = f"{program.here}[place]"
    if description.task != Task.MULTILABEL and description.scale and description.centre:
        scale, centre = (
            program.numbers(np.broadcast_to(np.asarray(numbers, np.float32), description.outputs))
            for numbers in (description.scale, description.centre)
        )
        value = f"{centre}[place] + {scale}[place] * {value}"
    return [*_each_output(f"out[place] = {value};"), "return 0;"]


def _each_output(*lines: str) -> list[str]:
    loop = "for (size_t place = 0; place < DSLNODE_OUTPUTS; place++) {"
    return [loop, *(f"    {line}" for line in lines), "}"]


def _class_end(program: _Program) -> list[str]:
    answers = program.model.description.answers
    places = range(program.model.description.outputs)
    may_win = [str(int(place in answers)) for place in places]
    first = answers[0] if answers else 0
    condition = f"out[place] > out[best]{' && may_win[place]' if answers else ''}"
    if answers:
        program.constants.append(array("static const uint8_t may_win[DSLNODE_OUTPUTS]", may_win))
    return [
        f"size_t best = {first};",
        *_each_output(f"out[place] = {program.here}[place];"),
        *_each_output(f"best = {condition} ? place : best;"),
        "return (int)best;",
    ]


def _anomaly_end(program: _Program) -> list[str]:
    threshold = program.model.threshold
    hand_out = f"out[place] = {program.here}[place];"
    if threshold is None:
        return [*_each_output(hand_out), "return 0;"]
    difference = "float difference = out[place] - input(in, place);"
    return [
        "float error = 0.0f;",
        *_each_output(hand_out, difference, "error += difference * difference;"),
        f"return error / (float)DSLNODE_OUTPUTS > {float_constant(threshold)};",
    ]
