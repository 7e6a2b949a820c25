"""The file of a personal model (``.dslm``): a seed and a coded mask, and the little that is not in these.

docs/model-format.md describes it for readers in other languages. Nothing is unpickled, and every size is checked
before anything is allocated.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from dslnode.data.target import Target
from dslnode.errors import ModelError
from dslnode.inference.levels import Levels, decode_codes, encode_codes
from dslnode.inference.mask_coding import Bits, CodedMask, decode_mask, encode_mask
from dslnode.inference.operations import Operation, weight_names
from dslnode.protocol.frozen_bits import frozen_signs, seeded_bits
from dslnode.protocol.mask import MaskLayer, MaskLayout

if TYPE_CHECKING:
    from dslnode.data.schema import Schema

MAGIC = b"DSLM\r\n\x1a\n"
"""A copy that changed line ends, or stopped at a control character, does not begin so."""
VERSION = 3
"""Files with levels are of it. Those without are written as version 2, and without an input scaling as version 1, which
earlier releases read."""
HEAD = struct.Struct("<8sHIIIH")
"""Magic, version, and the lengths of header, mask, tensors and seal."""
CHECKSUM_BYTES = 16
MAX_FILE_BYTES = 2**30
MAX_HEADER_BYTES = 2**22
MAX_WEIGHTS = 2**28
MAX_LAYERS = 10_000
MAX_SCALED_FEATURES = 2**16

Tensors = Mapping[str, NDArray[np.float32]]
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


def _checked_json(part: Header | Description) -> bytes:
    text = msgspec.json.encode(part)
    try:
        msgspec.json.decode(text, type=type(part))
    except ValueError as error:
        raise ModelError(f"the model cannot be described: {error}; give it and its run shorter names") from error
    return text


@dataclass(frozen=True, eq=False)
class Seal:
    """The signature of the node's ticket over the file, and its certificate; both DER."""

    signature: bytes
    certificate: bytes


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonalModelFile:
    """A personal model: its description, its mask as bits uint8 (weights,), and its other tensors, float32 by name.

    ``levels`` say how strong the kept weights are; without any, all are alike.
    """

    description: Description
    round: int
    mask: Bits
    levels: Levels | None = None
    tensors: Tensors = field(default_factory=dict)
    score: Score | None = None
    threshold: float | None = None
    seal: Seal | None = None

    def units(self) -> tuple[np.float32, ...]:
        """Return what each layer's weights are whole multiples of: its scale, times the step of its levels."""
        steps = (1.0,) * len(self.description.layers) if self.levels is None else self.levels.steps
        pairs = zip(self.description.layers, steps, strict=True)
        return tuple(np.float32(layer.scale) * np.float32(step) for layer, step in pairs)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return all weights by name: the frozen ones under the mask, and the others."""
        layout = self.description.mask_layout
        signs = frozen_signs(layout, self.description.network_seed)
        weights = dict(self.tensors)
        factors = self.mask if self.levels is None else self.levels.codes
        for (layer, span), unit in zip(layout.spans(), self.units(), strict=True):
            frozen = signs[span].astype(np.float32)  # in place from here: a board may have little memory
            frozen *= 2
            frozen -= 1
            frozen *= unit
            frozen *= factors[span]
            weights[layer.name] = frozen.reshape(layer.shape)
        return weights


def pack(model: PersonalModelFile) -> bytes:
    """Return the bytes of a file without a seal."""
    layout, seed = model.description.mask_layout, model.description.network_seed
    kept = tuple(int(model.mask[span].sum()) for _, span in layout.spans())
    coded = encode_mask(model.mask, seeded_bits(layout, seed, kept), layout)
    levels = b"" if model.levels is None else encode_codes(model.levels.codes)
    header = Header(
        description=model.description,
        round=model.round,
        layout=layout.digest.hex(),
        mask=MaskHeader(kept=kept, shares=coded.probabilities, digest=_digest(model.mask)),
        score=model.score,
        threshold=model.threshold,
        strengths=None if model.levels is None else Strengths(steps=model.levels.steps, size=len(levels)),
    )
    text = zlib.compress(_checked_json(header), 9)
    tensors = _pack_tensors(model.tensors)
    mask = coded.data + levels
    body = HEAD.pack(MAGIC, _version(model), len(text), len(mask), len(tensors), 0) + text + mask + tensors
    return body + checksum(body)


def _version(model: PersonalModelFile) -> int:
    if model.levels is not None:
        return VERSION
    return 1 if model.description.input_scaling is None else 2


def sealed(content: bytes, seal: Seal) -> bytes:
    """Return a packed file with a seal: signature and certificate after it, each after its length."""
    parts = b"".join(struct.pack("<H", len(part)) + part for part in (seal.signature, seal.certificate))
    magic, version, header, mask, tensors, _ = HEAD.unpack_from(content)
    return HEAD.pack(magic, version, header, mask, tensors, len(parts)) + content[HEAD.size :] + parts


def unsealed(content: bytes) -> bytes:
    """Return the part of a file that its seal signs: all before the seal, with a seal's length of 0."""
    magic, version, header, mask, tensors, seal = HEAD.unpack_from(content)
    end = len(content) - seal
    return HEAD.pack(magic, version, header, mask, tensors, 0) + content[HEAD.size : end]


def checksum(body: bytes) -> bytes:
    """Return the 16 bytes that end a file, before its seal."""
    return hashlib.blake2b(body, digest_size=CHECKSUM_BYTES).digest()


def read_model(path: Path) -> PersonalModelFile:
    """Return the model in a file; ``ModelError`` that names the file, what is wrong with it, and what to do."""
    return unpack_named(read_content(path), str(path))


def read_content(path: Path) -> bytes:
    """Return the bytes of a model's file; ``ModelError`` if it cannot be read, or is too large for one."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"{path}: has {size:,} bytes, more than any model's file; give the file of a model")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path and the permissions") from error


def unpack_named(content: bytes, name: str) -> PersonalModelFile:
    """Return the model in bytes that came from somewhere; ``ModelError`` that names it."""
    try:
        return unpack(content)
    except ValueError as error:
        raise ModelError(f"{name}: {error}") from error


def unpack(content: bytes) -> PersonalModelFile:
    """Return the model in a file's bytes; ``ValueError`` that says what is wrong and what to do."""
    if len(content) < HEAD.size or not content.startswith(MAGIC):
        raise ValueError("is no model's file (.dslm), or a damaged copy; export the model again")
    _, version, *lengths = HEAD.unpack_from(content)
    if version > VERSION:
        raise ValueError(f"is of format {version}, and this release reads up to {VERSION}; install a newer dslnode")
    header_length, mask_length, tensors_length, seal_length = lengths
    if len(content) != HEAD.size + header_length + mask_length + tensors_length + CHECKSUM_BYTES + seal_length:
        raise ValueError("is cut short, or has something after its end; copy or export it again")
    body = unsealed(content)
    if checksum(body[:-CHECKSUM_BYTES]) != body[-CHECKSUM_BYTES:]:
        raise ValueError("is damaged: its checksum does not match; copy or export it again")
    parts = content[HEAD.size :]
    header = _read_header(parts[:header_length])
    tensors = _read_tensors(parts[header_length + mask_length :][:tensors_length])
    description = header.description
    missing = weight_names(description.operations) - tensors.keys() - {layer.name for layer in description.layers}
    if missing:
        raise ValueError(f"lacks the weights {', '.join(sorted(missing))}; export the model again")
    end = header_length + mask_length
    middle = end - (0 if header.strengths is None else header.strengths.size)
    if middle < header_length:
        raise ValueError("has levels that are cut short; export the model again")
    mask = _read_mask(header, parts[header_length:middle])
    return PersonalModelFile(
        description=description,
        round=header.round,
        mask=mask,
        levels=_read_levels(header, parts[middle:end], mask),
        tensors=tensors,
        score=header.score,
        threshold=header.threshold,
        seal=_read_seal(content[len(content) - seal_length :]) if seal_length else None,
    )


def _read_header(compressed: bytes) -> Header:
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
    layers, mask, strengths = len(header.description.layers), header.mask, header.strengths
    steps = layers if strengths is None else len(strengths.steps)
    if (len(mask.kept), len(mask.shares), steps) != (layers, 2 * layers, layers):
        raise ValueError("has a mask of another number of layers; export the model again")
    if header.description.mask_layout.digest.hex() != header.layout:
        raise ValueError("names another layout than its layers have; export the model again")
    return header


def _read_mask(header: Header, data: bytes) -> Bits:
    layout, seed = header.description.mask_layout, header.description.network_seed
    if not layout.layers:
        return np.empty(0, np.uint8)
    mask = decode_mask(CodedMask(header.mask.shares, data), seeded_bits(layout, seed, header.mask.kept), layout)
    if _digest(mask) != header.mask.digest:
        raise ValueError("decodes to another mask than was stored; export the model again")
    return mask


def _read_levels(header: Header, data: bytes, mask: Bits) -> Levels | None:
    if header.strengths is None:
        return None
    return Levels(decode_codes(data, mask), header.strengths.steps)


def _digest(mask: Bits) -> str:
    """Return 8 bytes, in hex, that tell masks apart."""
    return hashlib.blake2b(np.packbits(mask, bitorder="little").tobytes(), digest_size=8).hexdigest()


def _pack_tensors(tensors: Tensors) -> bytes:
    if not tensors:
        return b""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(tensor) for name, tensor in sorted(tensors.items())})


def _read_tensors(data: bytes) -> dict[str, NDArray[np.float32]]:
    if not data:
        return {}
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        loaded = load(data)
    except (SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"has tensors that cannot be read ({error}); export the model again") from error
    if any(tensor.dtype != np.float32 for tensor in loaded.values()):
        raise ValueError("has tensors that are not float32; export the model again")
    return dict(loaded)


def _read_seal(data: bytes) -> Seal:
    parts = []
    for _ in range(2):
        length = int.from_bytes(data[:2], "little")
        if len(data) < 2 + length:
            raise ValueError("has a seal that is cut; export the model again")
        parts.append(data[2 : 2 + length])
        data = data[2 + length :]
    if data:
        raise ValueError("has something after its seal; export the model again")
    return Seal(*parts)
