"""The header of a personal model's file: what a model is and how its mask is read, as JSON whose bounds are checked.

Nothing that a header says is believed before its bounds are checked.
"""

from __future__ import annotations

import math
import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from dslnode.data.target import Target
from dslnode.errors import ModelError
from dslnode.inference.operations import Operation
from dslnode.protocol.mask import MaskLayer, MaskLayout

if TYPE_CHECKING:
    from dslnode.data.schema import Schema

MAX_FILE_BYTES = 2**30
MAX_HEADER_BYTES = 2**22
MAX_WEIGHTS = 2**28
MAX_LAYERS = 10_000
MAX_SCALED_FEATURES = 2**16

Text = Annotated[str, Meta(max_length=255)]
Texts = Annotated[tuple[Text, ...], Meta(max_length=2**16)]
Positive = Annotated[float, Meta(gt=0)]
Numbers = Annotated[tuple[float, ...], Meta(max_length=2**16)]
"""Numbers that are read are finite: JSON has no others."""
Count = Annotated[int, Meta(ge=0, le=MAX_WEIGHTS)]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Bounds are checked when a part is read, and before it is written, not when it is made."""


class Layer(_Part, frozen=True, kw_only=True):
    """A masked tensor: its name, its shape with the outputs first, and the magnitude of its frozen weights."""

    name: Text
    shape: Annotated[tuple[Annotated[int, Meta(ge=1, le=MAX_WEIGHTS)], ...], Meta(min_length=1, max_length=8)]
    scale: Positive


class InputScaling(_Part, frozen=True, kw_only=True):
    """How a model sees numbers of arrays: ``(inputs - centre) / scale``, cut at 10 either way; missing ones as 0.

    A pair per feature of the last dimension. Without any, inputs are as measured once they are divided.
    """

    centre: Numbers = ()
    scale: Annotated[tuple[Positive, ...], Meta(max_length=MAX_SCALED_FEATURES)] = ()


class Score(_Part, frozen=True, kw_only=True):
    """What the model reached on data that it was not trained on."""

    name: Text
    value: float


class Strengths(_Part, frozen=True, kw_only=True):
    """Strengths of the kept weights: the step of each layer, and how many bytes after the mask hold their levels."""

    steps: Annotated[tuple[Positive, ...], Meta(max_length=MAX_LAYERS)]
    size: Annotated[int, Meta(ge=0, le=MAX_FILE_BYTES)]


class Description(_Part, frozen=True, kw_only=True, dict=True):
    """What a node's personal models have in common, whatever their mask.

    A model sees inputs of ``input_shape`` divided by ``full_scale``, and arrays of numbers by ``input_scaling``. What
    comes of a table is encoded by ``data_schema`` before, whose values are ``schema_values``. ``network_seed`` gives
    the signs of the frozen weights. ``operations`` are what it does; empty if only torch and the model's own code can
    say that. Only the classes ``answers`` ever win, if there are any. A number of the original unit is
    ``centre + scale * output``.
    """

    model: Text
    run_id: Text
    node: Text
    made_by: Text
    network_seed: Annotated[int, Meta(ge=0)]
    layers: Annotated[tuple[Layer, ...], Meta(max_length=MAX_LAYERS)]
    input_shape: Annotated[tuple[Annotated[int, Meta(ge=1, le=2**24)], ...], Meta(min_length=1, max_length=4)]
    full_scale: Positive = 1.0
    input_scaling: InputScaling | None = None
    outputs: Annotated[int, Meta(ge=1, le=2**24)]
    answers: Annotated[tuple[Annotated[int, Meta(ge=0, le=2**24)], ...], Meta(max_length=2**16)] = ()
    task: Text
    names: Texts = ()
    units: Texts = ()
    centre: Numbers = ()
    scale: Numbers = ()
    settings: dict[str, str | float | int | bool | None] = msgspec.field(default_factory=dict)
    schema_values: dict[str, Any] | None = msgspec.field(default=None, name="data_schema")
    operations: Annotated[tuple[Operation, ...], Meta(max_length=MAX_LAYERS)] = ()

    def __post_init__(self) -> None:
        """Refuse more weights than memory is given for, and what does not fit together."""
        if self.network_seed >= 2**64:
            raise ValueError("a seed of more than 64 bits")
        if sum(math.prod(layer.shape) for layer in self.layers) > MAX_WEIGHTS:
            raise ValueError(f"more than the {MAX_WEIGHTS:,} weights that are read")
        scaling = self.input_scaling
        if scaling is not None and not (
            len(scaling.centre) == len(scaling.scale) and len(scaling.scale) in (0, self.input_shape[-1])
        ):
            raise ValueError("an input scaling that has no pair for each feature")

    @property
    def mask_layout(self) -> MaskLayout:
        """The layout of the mask."""
        return MaskLayout(tuple(MaskLayer(layer.name, layer.shape) for layer in self.layers))

    @property
    def target(self) -> Target:
        """Task, and what the outputs are called and mean."""
        return Target(task=self.task, names=self.names, units=self.units, centre=self.centre, scale=self.scale)

    @cached_property
    def data_schema(self) -> Schema | None:
        """How raw rows become inputs; None for arrays and images. ``ModelError`` if it makes no sense."""
        if self.schema_values is None:
            return None
        from pydantic import ValidationError

        from dslnode.data.schema import Schema

        try:
            return Schema.model_validate(self.schema_values)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise ModelError(f"the model's data_schema does not fit ({where}: {problem['msg']})") from None

    def to_json(self) -> bytes:
        """Return the description as JSON. Raises ``ModelError`` if nobody could read it."""
        return _checked_json(self)

    @classmethod
    def from_json(cls, text: bytes) -> Description:
        """Return the description in a JSON text. Raises ``ValueError`` that says where it does not fit."""
        return msgspec.json.decode(text, type=cls)


class MaskHeader(_Part, frozen=True, kw_only=True):
    """What decodes the mask: weights kept per layer, two shares of ones per layer out of 65,536, and a digest."""

    kept: Annotated[tuple[Count, ...], Meta(max_length=MAX_LAYERS)]
    shares: Annotated[tuple[Annotated[int, Meta(gt=0, lt=2**16)], ...], Meta(max_length=2 * MAX_LAYERS)]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]


class Header(_Part, frozen=True, kw_only=True):
    """What is in a file beside mask and tensors. ``threshold`` is the error from which an example is an anomaly."""

    description: Description
    round: Annotated[int, Meta(ge=0, le=2**31)]
    layout: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
    mask: MaskHeader
    score: Score | None = None
    threshold: float | None = None
    strengths: Strengths | None = None


def pack_header(header: Header) -> bytes:
    """Return a header as a file has it. Raises ``ModelError`` if nobody could read it."""
    return zlib.compress(_checked_json(header), 9)


def read_header(compressed: bytes) -> Header:
    """Return the header in its part of a file; ``ValueError`` that says what is wrong and what to do."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(compressed, MAX_HEADER_BYTES)
        if inflater.unconsumed_tail or not inflater.eof:
            raise ValueError("has a header that is cut or too long; export the model again")
        header = msgspec.json.decode(text, type=Header)
    except zlib.error as error:
        raise ValueError("has a header that cannot be read; export the model again") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"has a header that does not fit ({error}); export it again") from None
    _check_layers(header)
    return header


def _check_layers(header: Header) -> None:
    """Refuse a mask that is not of the layers."""
    layers, mask, strengths = len(header.description.layers), header.mask, header.strengths
    steps = layers if strengths is None else len(strengths.steps)
    if (len(mask.kept), len(mask.shares), steps) != (layers, 2 * layers, layers):
        raise ValueError("has a mask of another number of layers; export the model again")
    if header.description.mask_layout.digest.hex() != header.layout:
        raise ValueError("names another layout than its layers have; export the model again")


def _checked_json(part: Header | Description) -> bytes:
    text = msgspec.json.encode(part)
    try:
        msgspec.json.decode(text, type=type(part))
    except ValueError as error:
        raise ModelError(f"the model cannot be described: {error}; give it and its run shorter names") from error
    return text
