"""A pretrained network in place of the seeded one: real weights from a file, which all nodes of a run share.

Masks choose among its weights, and masks alone travel. Layers that the file lacks are seeded as ever: the last one of a
network that was trained for other classes. What is not masked (biases, norms) starts from the file's values.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import ModelError
from dslnode.input_files import check_regular
from dslnode.protocol.mask import MaskLayer, MaskLayout

if TYPE_CHECKING:
    from torch import Tensor

MAX_FILE_BYTES = 2**32
MAX_TENSORS = 10_000
SPREAD = 0.05
"""Of the scores of pretrained layers, as a part of that of seeded ones: near each other, so that a few rounds can drop
any weight."""


@dataclass(frozen=True, eq=False)
class PretrainedNetwork:
    """The tensors of a network, float32, by parameter name."""

    tensors: Mapping[str, NDArray[np.float32]]

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that are equal exactly where names, shapes and values are."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tensor.shape}\n".encode())
            digest.update(np.ascontiguousarray(tensor, dtype="<f4").tobytes())
        return digest.digest()

    def has(self, layer: MaskLayer) -> bool:
        """Return whether the file has this layer's weights."""
        return layer.name in self.tensors

    def check(self, layout: MaskLayout, parameters: Mapping[str, Tensor]) -> None:
        """Raise ``ModelError`` unless all are parameters of these names and shapes, and some of them are masked."""
        for name, tensor in self.tensors.items():
            expected = tuple(parameters[name].shape) if name in parameters else None
            if expected != tensor.shape:
                problem = (
                    "is no parameter of the model" if expected is None else f"has the shape {expected} in the model"
                )
                raise ModelError(
                    f"--frozen: {name} of the shape {tensor.shape} {problem}; give the --model that the file was made"
                    f" of, or leave it out of the file: dslnode freeze --leave-out {name}"
                )
        if not any(self.has(layer) for layer in layout.layers):
            raise ModelError("--frozen: the file has no weights of a layer that masks choose among; freeze another one")


def read_pretrained(path: Path) -> PretrainedNetwork:
    """Read a safetensors file. Raises ``ModelError`` that says what is wrong with it."""
    from safetensors import SafetensorError, safe_open

    try:
        size = check_regular(path)
        if size > MAX_FILE_BYTES:
            raise ModelError(f"{path}: {size} bytes; --frozen takes up to {MAX_FILE_BYTES}")
        with safe_open(path, framework="numpy") as file:
            names = sorted(file.keys())
            if len(names) > MAX_TENSORS:
                raise ModelError(f"{path}: {len(names)} tensors; --frozen takes up to {MAX_TENSORS}")
            tensors = {name: np.asarray(file.get_tensor(name)) for name in names}
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); make it with dslnode freeze") from error
    except (SafetensorError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: is no safetensors file ({error}); make it with dslnode freeze") from error
    for name, tensor in tensors.items():
        if not np.issubdtype(tensor.dtype, np.number) or not np.isfinite(tensor.astype(np.float64)).all():
            raise ModelError(f"{path}: {name} holds what is no finite number; freeze the weights again")
    return PretrainedNetwork({name: tensor.astype(np.float32) for name, tensor in tensors.items()})


def starting_scores(layer: MaskLayer, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores that a pretrained layer starts from, float32 (weights,): the larger a weight, the higher.

    They lie evenly in ``+-SPREAD/sqrt(fan_in)`` by the rank of the weights' sizes: so the first mask keeps the largest,
    and is the same on every machine.
    """
    ranks = np.empty(layer.size, np.int64)
    ranks[np.argsort(np.abs(weights.ravel()), kind="stable")] = np.arange(layer.size)
    return (SPREAD * (2 * ranks + 1 - layer.size) / (layer.size * math.sqrt(layer.fan_in))).astype(np.float32)
