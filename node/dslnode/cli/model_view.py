"""What a model's file is, and how two differ, for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dslnode.data.target import Task
from dslnode.errors import ModelError
from dslnode.inference.model_file import read_content, unpack_named
from dslnode.inference.operations import ANSWER_UNITS
from dslnode.inference.personal_model import PersonalModelFile


def show_model(file: Path, *, as_json: bool) -> None:
    """Print what a model is. Raises ``ModelError``."""
    content = read_content(file)
    model = unpack_named(content, str(file))
    facts = facts_of(model, len(content))
    if as_json:
        print(json.dumps({**facts, "description": json.loads(model.description.to_json())}, ensure_ascii=False))
        return
    for name, value in facts.items():
        print(f"{name:<14} {value}")


def show_difference(first: Path, second: Path) -> None:
    """Print in which weights two models differ. ``ModelError`` unless they are masks of one network."""
    models = [unpack_named(read_content(file), str(file)) for file in (first, second)]
    layouts = [model.description.mask_layout for model in models]
    if layouts[0] != layouts[1] or models[0].description.network_seed != models[1].description.network_seed:
        raise ModelError(f"{first} and {second} are masks of different networks; only those of one can be compared")
    if not layouts[0].layers:
        raise ModelError(f"{first} and {second} hold weights of a pretrained network; only masks can be compared")
    for layer, span in layouts[0].spans():
        agreement = float(np.mean(models[0].mask[span] == models[1].mask[span]))
        densities = [float(model.mask[span].mean()) for model in models]
        print(f"{layer.name:<24} agree {agreement:7.2%}   kept {densities[0]:.3f} and {densities[1]:.3f}")


def verify_model(file: Path, ticket: Path | None = None) -> None:
    """Print that a file is whole, and by whom it is sealed. Raises ``ModelError`` if it is not."""
    content = read_content(file)
    model = unpack_named(content, str(file))
    _ = model.description.data_schema  # raises what is wrong with it
    whose = "without a seal" if model.seal is None else "sealed, by whom --ticket FILE tells"
    if ticket is not None:
        from dslnode.inference.model_seal import check_seal

        whose = f"sealed by {check_seal(content, str(file), ticket).name}"
    print(f"{file}: is whole; round {model.round}, {weight_count(model):,} weights, {whose}")


def weight_count(model: PersonalModelFile) -> int:
    """Return how many weights a model has: masked ones, or where none are, those that its file holds."""
    return model.mask.size or sum(tensor.size for tensor in model.tensors.values())


def _kept(model: PersonalModelFile) -> str:
    if not model.mask.size:
        return "held as they are: over a pretrained network"
    kept = f"kept {int(model.mask.sum()):,}"
    return kept if model.levels is None else f"{kept}, each in one of {int(model.levels.codes.max())} levels"


def _prior(model: PersonalModelFile) -> str:
    """Return in words whether the answers have the class prior (``uneven_classes``)."""
    has_prior = ANSWER_UNITS.shift in model.tensors
    return "in the answers: classes are as frequent as in the node's own data" if has_prior else "not in the answers"


def facts_of(model: PersonalModelFile, size: int) -> dict[str, Any]:
    """Return what people ask of a model first."""
    description = model.description
    weights = weight_count(model)
    score = "not measured" if model.score is None else f"{model.score.name} {model.score.value:.4f}"
    return {
        "model": description.model,
        "task": description.task,
        "names": ", ".join(description.names) or "-",
        "inputs": "x".join(map(str, description.input_shape)),
        "outputs": description.outputs,
        "node": description.node,
        "run": description.run_id,
        "round": model.round,
        "score": score,
        **({"class prior": _prior(model)} if description.task == Task.CLASSIFICATION else {}),
        "weights": f"{weights:,}, {_kept(model)}",
        "bytes": f"{size:,}, one of {4 * weights / max(1, size):.0f} of float32",
        "runs": "with numpy alone" if description.operations else "with torch and the model's own code",
        "made by": description.made_by,
    }
