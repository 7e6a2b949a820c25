"""The file of a personal model (``.dslm``): a seed and a coded mask, and the little that is not in these.

docs/model-format.md describes it for readers in other languages. Nothing is unpickled, and every size is checked
before anything is allocated.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dslnode.data.target import Target
from dslnode.errors import ModelError
from dslnode.inference.mask_coding import Bits, CodedMask, decode_mask, encode_mask
from dslnode.inference.operations import Operation, weight_names
from dslnode.protocol.frozen_bits import frozen_signs, seeded_bits
from dslnode.protocol.mask import MaskLayer, MaskLayout

MAGIC = b"DSLM\r\n\x1a\n"
"""A copy that changed line ends, or stopped at a control character, does not begin so."""
VERSION = 1
HEAD = struct.Struct("<8sHIIIH")
"""Magic, version, and the lengths of header, mask, tensors and seal."""
CHECKSUM_BYTES = 16
MAX_FILE_BYTES = 2**30
MAX_HEADER_BYTES = 2**22
MAX_WEIGHTS = 2**28
MAX_LAYERS = 10_000

Tensors = Mapping[str, NDArray[np.float32]]
Text = Annotated[str, Field(max_length=255)]
Count = Annotated[int, Field(ge=0, le=MAX_WEIGHTS)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(_Part):
    """A masked tensor: name, shape with the outputs first, weights kept, magnitude of each, and the mask's shares."""

    name: Text
    shape: tuple[Annotated[int, Field(ge=1, le=MAX_WEIGHTS)], ...] = Field(min_length=1, max_length=8)
    kept: Count
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    shares: tuple[int, int]


class Score(_Part):
    """What the model reached on data that it was not trained on."""

    name: Text
    value: Annotated[float, Field(allow_inf_nan=False)]


class Strengths(_Part):
    """Private strengths of the kept weights, of which this version has none: a later one codes them here."""

    levels: Annotated[int, Field(ge=2, le=16)]


class Header(_Part):
    """What a model is, beside its mask and tensors.

    The model sees inputs of ``input_shape`` divided by ``full_scale``. ``network_seed`` gives the signs of the frozen
    weights. ``operations`` are what it does; empty if only torch and the model's own code can say that.
    """

    model: Text
    run_id: Text
    node: Text
    round: Annotated[int, Field(ge=0, le=2**31)]
    made_by: Text
    network_seed: Annotated[int, Field(ge=0, lt=2**64)]
    layout: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    layers: tuple[Layer, ...] = Field(max_length=MAX_LAYERS)
    mask_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    input_shape: tuple[Annotated[int, Field(ge=1, le=2**24)], ...] = Field(min_length=1, max_length=4)
    full_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    outputs: Annotated[int, Field(ge=1, le=2**24)]
    task: Text
    names: tuple[Text, ...] = Field((), max_length=2**16)
    units: tuple[Text, ...] = Field((), max_length=2**16)
    centre: tuple[float, ...] = Field((), max_length=2**16)
    scale: tuple[float, ...] = Field((), max_length=2**16)
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    score: Score | None = None
    settings: Mapping[str, str | float | int | bool | None] = Field(default_factory=dict)
    data_schema: Mapping[str, Any] | None = None
    operations: tuple[Operation, ...] = Field((), max_length=MAX_LAYERS)
    strengths: Strengths | None = None

    @property
    def mask_layout(self) -> MaskLayout:
        """The layout of the mask."""
        return MaskLayout(tuple(MaskLayer(layer.name, layer.shape) for layer in self.layers))

    @property
    def target(self) -> Target:
        """Task, and what the outputs are called and mean."""
        return Target(task=self.task, names=self.names, units=self.units, centre=self.centre, scale=self.scale)


@dataclass(frozen=True, eq=False)
class Seal:
    """The signature of the node's ticket over the file, and its certificate; both DER."""

    signature: bytes
    certificate: bytes


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A personal model: its header, its mask as bits uint8 (weights,), and its other tensors, float32 by name."""

    header: Header
    mask: Bits
    tensors: Tensors = field(default_factory=dict)
    seal: Seal | None = None

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return all weights by name: the frozen ones under the mask, and the others."""
        layout = self.header.mask_layout
        signed = (frozen_signs(layout, self.header.network_seed).astype(np.float32) * 2 - 1) * self.mask
        weights = dict(self.tensors)
        for layer, (_, span) in zip(self.header.layers, layout.spans(), strict=True):
            weights[layer.name] = (signed[span] * np.float32(layer.scale)).reshape(layer.shape)
        return weights


def mask_digest(mask: Bits) -> str:
    """Return 8 bytes, in hex, that tell masks apart."""
    return hashlib.blake2b(np.packbits(mask, bitorder="little").tobytes(), digest_size=8).hexdigest()


def code_layers(
    mask: Bits, layout: MaskLayout, scales: tuple[float, ...], seed: int
) -> tuple[tuple[Layer, ...], bytes]:
    """Return the layers of a header, and the coded mask."""
    counts = tuple(int(mask[span].sum()) for _, span in layout.spans())
    coded = encode_mask(mask, seeded_bits(layout, seed, counts), layout)
    shares = zip(coded.probabilities[::2], coded.probabilities[1::2], strict=True)
    layers = tuple(
        Layer(name=layer.name, shape=layer.shape, kept=kept, scale=scale, shares=pair)
        for layer, kept, scale, pair in zip(layout.layers, counts, scales, shares, strict=True)
    )
    return layers, coded.data


def pack(model: ModelFile, coded_mask: bytes) -> bytes:
    """Return the file's bytes up to the checksum, which a seal signs, and the checksum."""
    fields = model.header.model_dump(mode="json", exclude_defaults=True)
    header = zlib.compress(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode(), 9)
    tensors = _pack_tensors(model.tensors)
    body = HEAD.pack(MAGIC, VERSION, len(header), len(coded_mask), len(tensors), 0) + header + coded_mask + tensors
    return body + checksum(body)


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


def read_model(path: Path) -> ModelFile:
    """Return the model in a file; ``ModelError`` that names the file, what is wrong with it, and what to do."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"{path}: has {size} bytes, more than any model; is it a model's file?")
        return unpack(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path and the permissions") from error
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def unpack(content: bytes) -> ModelFile:
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
    mask = _read_mask(header, parts[header_length : header_length + mask_length])
    tensors = _read_tensors(parts[header_length + mask_length :][:tensors_length])
    missing = weight_names(header.operations) - tensors.keys() - {layer.name for layer in header.layers}
    if missing:
        raise ValueError(f"lacks the weights {', '.join(sorted(missing))}; export the model again")
    return ModelFile(header, mask, tensors, _read_seal(content[len(content) - seal_length :]) if seal_length else None)


def _read_header(compressed: bytes) -> Header:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(compressed, MAX_HEADER_BYTES)
        if inflater.unconsumed_tail or not inflater.eof:
            raise ValueError("has a header that is cut or too long; export the model again")
        header = Header.model_validate_json(text)
    except zlib.error as error:
        raise ValueError("has a header that cannot be read; export the model again") from error
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise ValueError(
            f"has a header that does not fit ({where}: {problem['msg']}); export the model again"
        ) from None
    size = 0
    for layer in header.layers:
        size += int(np.prod([int(side) for side in layer.shape], dtype=object))
        if size > MAX_WEIGHTS:
            raise ValueError(f"has more than the {MAX_WEIGHTS:,} weights that are read")
    if header.strengths is not None:
        raise ValueError("has strengths of weights, which this release does not read; install a newer dslnode")
    if header.mask_layout.digest.hex() != header.layout:
        raise ValueError("names another layout than its layers have; export the model again")
    return header


def _read_mask(header: Header, data: bytes) -> Bits:
    layout = header.mask_layout
    counts = [layer.kept for layer in header.layers]
    probabilities = tuple(share for layer in header.layers for share in layer.shares)
    if not header.layers:
        return np.empty(0, np.uint8)
    mask = decode_mask(CodedMask(probabilities, data), seeded_bits(layout, header.network_seed, counts), layout)
    if mask_digest(mask) != header.mask_digest:
        raise ValueError("decodes to another mask than was stored; export the model again")
    return mask


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
