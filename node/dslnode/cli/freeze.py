"""Writes the weights of a network to a file, to be frozen and shared by all nodes of a run: ``dslnode freeze``."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import nn

from dslnode.cli.output import write_file
from dslnode.data.dataset import load_data_set
from dslnode.errors import ModelError, SettingsError
from dslnode.learning.masking import layout_of
from dslnode.learning.model_building import build_model
from dslnode.learning.pretrained import PretrainedNetwork, read_pretrained

SEED = 1


def freeze(model: str, *, weights: Path | None, data: str, leave_out: Sequence[str], output: Path) -> str:
    """Write the file; return a line about it. Raises a ``DslnodeError`` that says what is wrong."""
    built = build_model(model, load_data_set(data), SEED)
    if weights is not None:
        _load(built, weights)
    network = PretrainedNetwork(_kept(built, leave_out))
    network.check(layout_of(built), built.state_dict())
    size = write_file(save(dict(network.tensors), {"model": model}), output)
    return (
        f"wrote {output}: {size:,} bytes, {len(network.tensors)} tensors, digest {network.digest.hex()};"
        f" copy it to all nodes, then: dslnode start --model {model} --frozen {output}"
    )


def _load(model: nn.Module, weights: Path) -> None:
    given = read_pretrained(weights).tensors
    missing = sorted({name for name, tensor in model.state_dict().items() if tensor.is_floating_point()} - given.keys())
    if missing:
        raise ModelError(
            f"{weights}: has no {missing[0]}, which the model has; save it with"
            " safetensors.torch.save_file(model.state_dict(), FILE)"
        )
    try:
        model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in given.items()})
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[-1].strip()
        raise ModelError(
            f"{weights}: is of another model ({problem}); give the model that it was trained as"
        ) from error


def _kept(model: nn.Module, leave_out: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    floats = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    tensors = {name: tensor.float().contiguous().numpy() for name, tensor in floats.items()}
    for pattern in leave_out:
        matching = [name for name in tensors if fnmatchcase(name, pattern)]
        if not matching:
            raise SettingsError(f"--leave-out {pattern}: there is no such parameter; there are {', '.join(tensors)}")
        for name in matching:
            del tensors[name]
    return tensors
