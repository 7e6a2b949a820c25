"""Lets a learner begin with the model in a file: another node's, or its own of former times."""

from __future__ import annotations

from dslnode.data.schema import difference
from dslnode.errors import ModelError
from dslnode.inference.model_header import Description
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.learning.answer_units import without_answer_units
from dslnode.learning.learner import Learner

REMEDY = "start with the --model, --seed, --keep-ratio and --data that it was made with"
COMPARED = {
    "network_seed": "the seed",
    "task": "the task",
    "names": "the classes",
    "input_shape": "the shape of the inputs",
    "outputs": "the number of outputs",
    "layers": "the layers, or their keep ratios",
    "operations": "the operations of the model",
}
"""What must be equal, in the order in which differences are told."""


def begin_from(learner: Learner, own: Description, file: PersonalModelFile) -> float:
    """Let a learner that is described by ``own`` begin with the model in a file; return what `Learner.begin_from` does.

    Raises ``ModelError`` with the first difference in words if the file is of another network, or of other data.
    """
    if learner.pretrained is not None:
        raise ModelError(
            "--from: a node over a pretrained network cannot begin with a file, which holds no mask then; leave --from"
            " out, or copy the --state-dir of the other node without its node-id"
        )
    check_same_network(file.description, own)
    return learner.begin_from(file)


def check_same_network(theirs: Description, own: Description) -> None:
    """Raise ``ModelError`` with the first difference in words unless both are of one network and one kind of data."""
    for name, words in COMPARED.items():
        here, there = (_compared(description, name) for description in (own, theirs))
        if here != there:
            raise ModelError(
                f"--from: the model is of another network: {words} differ, {_first(there, here)} there,"
                f" {_first(here, there)} here; {REMEDY}"
            )
    schemas = own.data_schema, theirs.data_schema
    if schemas[0] is not None and schemas[1] is not None:
        differs = difference(*(schema.agreement() for schema in schemas if schema is not None))
        if differs:
            raise ModelError(f"--from: the model reads its data by another schema: {differs}; {REMEDY}")


def _compared(description: Description, name: str) -> object:
    if name == "operations":
        return without_answer_units(description.operations)
    return getattr(description, name)


def _first(values: object, others: object) -> object:
    """Return what differs first: of two tuples of one length an entry, else the values."""
    if not isinstance(values, tuple) or not isinstance(others, tuple):
        return values
    if len(values) != len(others):
        return f"{len(values)} of them"
    return next(value for value, other in zip(values, others, strict=True) if value != other)
