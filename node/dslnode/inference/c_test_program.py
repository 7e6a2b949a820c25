"""Writes the test program of a model's C source: rows, and what is expected of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dslnode.inference.c_text import array, float_constant
from dslnode.inference.input_units import as_measured
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import interpret

TOLERANCE = 1e-3
"""By how much an output of the test program may differ, absolutely and by its size: float32 in another order."""


def test_program(model: PersonalModelFile, rows: NDArray[np.float32], raw: NDArray[np.float32]) -> str:
    expected = interpret(model, raw, rows)
    answers = [0] * len(rows)
    found = expected.classes if expected.classes is not None else expected.anomalous
    if found is not None:
        answers = [int(answer) for answer in found]
    outputs = (raw if expected.values is None else expected.values).astype(np.float32)
    inputs = as_measured(model.description, rows)
    return f"""/* Tries model.c on {len(rows)} rows: prints what differs, and returns how many do. */
#include <math.h>
#include <stdio.h>
#include "model.h"

#define ROWS {len(rows)}

{array("static const float rows[ROWS * DSLNODE_INPUTS]", map(float_constant, inputs.ravel()))}
{array("static const float outputs[ROWS * DSLNODE_OUTPUTS]", map(float_constant, outputs.ravel()))}
{array("static const int answers[ROWS]", map(str, answers))}

int main(void)
{{
    static float out[DSLNODE_OUTPUTS];
    int wrong = 0;
    for (int row = 0; row < ROWS; row++) {{
        int answer = dslnode_predict(rows + row * DSLNODE_INPUTS, out);
        int differs = answer != answers[row];
        for (int place = 0; place < DSLNODE_OUTPUTS; place++) {{
            float wanted = outputs[row * DSLNODE_OUTPUTS + place];
            differs |= !(fabsf(out[place] - wanted) <= {float_constant(TOLERANCE)} * (1.0f + fabsf(wanted)));
        }}
        if (differs) {{
            printf("row %d: answer %d, expected %d\\n", row, answer, answers[row]);
            wrong++;
        }}
    }}
    printf("%s: %d of %d rows as expected\\n", dslnode_model, ROWS - wrong, ROWS);
    return wrong;
}}
"""
