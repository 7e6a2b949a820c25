"""What callers see of a model in C, and what runs its calls: the header, inputs, answers, and the function around."""

from __future__ import annotations

import math

import numpy as np

from dslnode.data.scaling import LIMIT
from dslnode.data.target import Task
from dslnode.inference.answers import output_names
from dslnode.inference.c_functions import BINARY, FUNCTIONS, LEVELS, WEIGHTS
from dslnode.inference.c_program import CProgram
from dslnode.inference.c_text import array, float_constant, string_constant
from dslnode.inference.personal_model import PersonalModelFile


def c_header(model: PersonalModelFile) -> str:
    """Return the text of ``model.h``."""
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


def c_body(program: CProgram) -> str:
    """Return the text of ``model.c``, once all operations are written."""
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


def _input_function(program: CProgram) -> str:
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


def _end(program: CProgram) -> list[str]:
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


def _class_end(program: CProgram) -> list[str]:
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


def _anomaly_end(program: CProgram) -> list[str]:
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
