"""Writes a personal model as C99 source for microcontrollers: no heap, no files, additions and one scale per unit.

A binary weight is 0 or plus or minus its layer's scale, so a layer is two arrays of bits: one per weight that says
whether it is kept, and one per kept weight that says whether it is plus. With levels a third array says how many times
the scale each kept weight is. Text from a model's file becomes string constants only, with everything but plain
characters escaped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dslnode.inference.c_main import c_body, c_header
from dslnode.inference.c_operations import emit
from dslnode.inference.c_program import CProgram
from dslnode.inference.c_test_program import test_program
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor


def c_source(model: PersonalModelFile, rows: NDArray[np.float32]) -> dict[str, str]:
    """Return the text of ``model.h``, ``model.c`` and ``test.c`` by name.

    ``rows`` float32 (n, *input_shape), as `read_examples` gives them, are what the test program tries. Raises
    ``ModelError`` that names the operation that cannot be written.
    """
    outputs = Predictor(model).outputs(rows)  # refuses a model whose operations do not fit, too
    program = CProgram(model)
    for operation in model.description.operations:
        emit(operation, program)
    return {"model.h": c_header(model), "model.c": c_body(program), "test.c": test_program(model, rows, outputs)}
