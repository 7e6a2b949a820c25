"""The C program of a model while it is written: constants, calls, and where the values are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import ModelError
from dslnode.inference.c_functions import NEEDS
from dslnode.inference.c_text import array, bit_array, float_constant, level_array
from dslnode.inference.input_units import input_units
from dslnode.inference.personal_model import PersonalModelFile

Shape = tuple[int, ...]


class CProgram:
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
        number = len(self.constants)
        declaration = f"static const struct weights weights_{number} = {{{self._weight_fields(name, number)}"
        fast = [
            *self._fast_arrays(name, number),
            f"{declaration}, wide_{number}, taps_{number}, &is_filled_{number}}};",
        ]
        self.constants += ["#ifdef DSLNODE_FAST", *fast, "#else", f"{declaration}}};", "#endif"]
        self.used.add("weights")
        return f"&weights_{number}"

    def _weight_fields(self, name: str, number: int) -> str:
        """Write the bits and levels of a masked tensor; return the fields that name them, and the scale."""
        unit, span = self._masks[name]
        mask = self.model.mask[span]
        plus = (self.weights[name].ravel() > 0)[mask == 1]
        self.constants.append(bit_array(f"kept_{number}", mask))
        self.constants.append(bit_array(f"plus_{number}", plus))
        fields = f"kept_{number}, plus_{number}, "
        if self.model.levels is not None:
            codes = self.model.levels.codes[span][mask == 1]
            width = int(codes.max(initial=1)).bit_length()
            self.constants.append(level_array(f"levels_{number}", codes, width))
            fields += f"levels_{number}, {width}, "
        return fields + float_constant(unit)

    def _fast_arrays(self, name: str, number: int) -> list[str]:
        """Return what the fast build fills at the first call: a convolution's taps, or all weights of a layer."""
        weights, (_, span) = self.weights[name], self._masks[name]
        mask = self.model.mask[span]
        tap_count = int(mask.sum()) + len(weights)  # one per kept weight, and an end per output
        is_convolution = weights.ndim > 2  # (outputs, channels, *kernel)
        wide, taps = (tap_count, tap_count) if is_convolution else (len(mask), 1)
        return [
            f"static float wide_{number}[{wide}];",
            f"static uint32_t taps_{number}[{taps}];",
            f"static int is_filled_{number};",
        ]

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
