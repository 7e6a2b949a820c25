"""Finds models and data sets by name or as `module:function`, and says plainly when there is no such thing.

Names come from the entry-point groups `dslnode.models` and `dslnode.datasets`, so that an installed package can add
some. A built-in model's name always means the built-in model. The command line lets modules in the working directory
be named, too. What is loaded here runs with all rights of this process: it is the operator's own choice.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from dslnode.errors import DataError, DslnodeError, ModelError, SettingsError

if TYPE_CHECKING:
    from torch import nn

MODEL_GROUP = "dslnode.models"
DATA_GROUP = "dslnode.datasets"
DEFAULT_TASK = "classification"
# Here as well as in pyproject.toml, so that a bare checkout on the path works like an installed package.
BUILT_IN_MODELS = {
    "auto": "dslnode.learning.models:suited",
    **{name: f"dslnode.learning.models:{name}" for name in ("mlp", "cnn", "alexnet", "cnn1d", "gru", "autoencoder")},
}


class ModelFactory(Protocol):
    """Builds a model for inputs of a shape, with so many outputs per example, for a task."""

    def __call__(self, input_shape: tuple[int, ...], output_count: int, task: str = ...) -> nn.Module:
        """Return a new model."""


def load_object(
    spec: str, error: type[DslnodeError] = SettingsError, known: Iterable[str] = ()
) -> Callable[..., object]:
    """Import what `module:function` names; the part after the colon may have dots (`module:Class.method`).

    Raises `error` if the spec is malformed, the module is missing or fails to import, or the function is
    missing or cannot be called. `known` are names that the user may have meant instead.
    """
    module_name, colon, path = spec.partition(":")
    if not (colon and _is_dotted_name(module_name) and _is_dotted_name(path)):
        raise error(f"{spec!r} is not of the form module:function{_suggestion(spec, known)}")
    found: Any = _import(module_name, spec, error, known)
    for part in path.split("."):
        if not hasattr(found, part):
            near = _suggestion(part, [name for name in dir(found) if not name.startswith("_")])
            place = getattr(sys.modules[module_name], "__file__", None) or "built in"
            raise error(f"{spec!r}: module {module_name} ({place}) has no {path!r}{near}")
        found = getattr(found, part)
    if not callable(found):
        raise error(f"{spec!r}: {path} is of type {type(found).__name__}, not a function; name a function or a class")
    return found  # type: ignore[no-any-return]


def model_factory(spec: str) -> ModelFactory:
    """Return a function of (input_shape, output_count, task) that builds the model `spec` names.

    The user's function is called with those of the keywords `input_shape`, `class_count`, `output_count` (both the
    numbers per example that it outputs: one per class where there are classes) and `task` that it accepts.
    Raises ModelError if there is no such model; the returned function raises ModelError if the user's
    function fails or returns anything but an nn.Module.
    """
    known = {**_plug_ins(MODEL_GROUP), **BUILT_IN_MODELS}
    build = load_object(_resolve(spec, known, (), "model", ModelError), ModelError, known)

    def factory(input_shape: tuple[int, ...], output_count: int, task: str = DEFAULT_TASK) -> nn.Module:
        shapes: dict[str, object] = {"input_shape": input_shape, "class_count": output_count}
        keywords = _accepted(build, shapes, {"output_count": output_count, "task": task})
        return _build(build, keywords, spec)

    return factory


def data_factory(spec: str, known: Sequence[str] = ()) -> Callable[[], object]:
    """Return the function without arguments that a plug-in's name or `module:function` names.

    `known` are the specs understood elsewhere, to be listed and suggested. Raises DataError if there is no
    such function.
    """
    plug_ins = _plug_ins(DATA_GROUP)
    return load_object(_resolve(spec, plug_ins, known, "data set", DataError), DataError, [*known, *plug_ins])


def _resolve(spec: str, names: dict[str, str], known: Iterable[str], what: str, error: type[DslnodeError]) -> str:
    """Return the `module:function` behind a name, or the spec itself if it is one."""
    if spec in names or ":" in spec:
        return names.get(spec, spec)
    choices = [*known, *sorted(names)]
    raise error(
        f"unknown {what} {spec!r}{_suggestion(spec, choices)}; known are {', '.join(choices)}, and module:function"
    )


def _plug_ins(group: str) -> dict[str, str]:
    return {entry.name: f"{entry.module}:{entry.attr}" for entry in entry_points(group=group)}


def _import(name: str, spec: str, error: type[DslnodeError], known: Iterable[str]) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
            raise error(f"{spec!r}: module {name} needs {missing.name}, which is not installed") from missing
        raise error(
            f"{spec!r}: there is no module {missing.name!r} in {os.getcwd()} or among the installed packages"
            f"{_suggestion(spec, known) or '; start dslnode where the module lies, or install it'}"
        ) from missing
    # Importing runs the user's code, so anything can come out of it.
    except (Exception, SystemExit) as failure:
        raise error(f"{spec!r}: importing {name} failed: {type(failure).__name__}: {failure}") from failure


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _suggestion(given: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" for the nearest known name, comparing what stands before the colon."""
    by_head = {name.partition(":")[0]: name for name in known}
    nearest = difflib.get_close_matches(given.partition(":")[0].lower(), by_head, n=1)
    return f"; did you mean {by_head[nearest[0]]!r}?" if nearest else ""


def _accepted(
    function: Callable[..., object], keywords: dict[str, object], more: dict[str, object]
) -> dict[str, object]:
    """Return those keywords that the function's signature accepts, and those of ``more`` that it names.

    A function that has no signature, or takes any keyword, gets all of the first: it may pass them on.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return keywords
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    accepted = keywords if takes_any else {name: value for name, value in keywords.items() if name in named}
    return accepted | {name: value for name, value in more.items() if name in named}


def _build(build: Callable[..., object], keywords: dict[str, object], spec: str) -> nn.Module:
    from torch import nn

    try:
        model = build(**keywords)
    except DslnodeError:
        raise
    # It is the user's code, so anything can come out of it.
    except (Exception, SystemExit) as failure:
        given = ", ".join(f"{name}={value}" for name, value in keywords.items())
        raise ModelError(
            f"model {spec!r} called with ({given}) failed: {type(failure).__name__}: {failure}"
        ) from failure
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model {spec!r} returned an object of type {type(model).__name__}; it must return a torch.nn.Module"
        )
    return model
