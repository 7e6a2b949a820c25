"""The file of a personal model (``.dslm``): a seed and a coded mask, and the little that is not in these.

docs/model-format.md describes it for readers in other languages. Nothing is unpickled, and every size is checked
before anything is allocated.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import ModelError
from dslnode.inference.levels import Levels, decode_codes, encode_codes
from dslnode.inference.mask_coding import Bits, CodedMask, decode_mask, encode_mask
from dslnode.inference.model_fit import check_fit
from dslnode.inference.model_header import (
    MAX_FILE_BYTES,
    Header,
    MaskHeader,
    Strengths,
    pack_header,
    read_header,
)
from dslnode.inference.personal_model import PersonalModelFile, Seal, Tensors
from dslnode.input_files import read_input
from dslnode.protocol.frozen_bits import seeded_bits

MAGIC = b"DSLM\r\n\x1a\n"
"""A copy that changed line ends, or stopped at a control character, does not begin so."""
VERSION = 3
"""Files with levels are of it. Those without are written as version 2, and without an input scaling as version 1, which
earlier releases read."""
HEAD = struct.Struct("<8sHIIIH")
"""Magic, version, and the lengths of header, mask, tensors and seal."""
CHECKSUM_BYTES = 16


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
    text = pack_header(header)
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
        return read_input(path, MAX_FILE_BYTES)
    except OSError as error:
        remedy = "give the file of a model"
        if path.is_dir():
            remedy += f"; dslnode export --state-dir {path} -o FILE writes one from what a node has saved"
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error


def unpack_named(content: bytes, name: str) -> PersonalModelFile:
    """Return the model in bytes that came from somewhere; ``ModelError`` that names it."""
    try:
        return unpack(content)
    except ValueError as error:
        raise ModelError(f"{name}: {error}") from error


def unpack(content: bytes) -> PersonalModelFile:
    """Return the model in a file's bytes; ``ValueError`` that says what is wrong and what to do."""
    parts = _checked_parts(content)
    header, tensors = read_header(parts.header), _read_tensors(parts.tensors)
    coded, codes = _mask_and_codes(header, parts.mask)
    mask = _read_mask(header, coded)
    model = PersonalModelFile(
        description=header.description,
        round=header.round,
        mask=mask,
        levels=_read_levels(header, codes, mask),
        tensors=tensors,
        score=header.score,
        threshold=header.threshold,
        seal=_read_seal(parts.seal) if parts.seal else None,
    )
    check_fit(model)
    return model


class _Parts(NamedTuple):
    """The parts of a file, as they stand in it."""

    header: bytes
    mask: bytes
    tensors: bytes
    seal: bytes


def _checked_parts(content: bytes) -> _Parts:
    """Return the parts of a file of a format that is read here, of the right length and with the right checksum."""
    if len(content) < HEAD.size or not content.startswith(MAGIC):
        raise ValueError("is no model's file (.dslm), or a damaged copy; export the model again")
    _, version, *lengths = HEAD.unpack_from(content)
    if version > VERSION:
        raise ValueError(f"is of format {version}, and this release reads up to {VERSION}; install a newer dslnode")
    if len(content) != HEAD.size + sum(lengths) + CHECKSUM_BYTES:
        raise ValueError("is cut short, or has something after its end; copy or export it again")
    body = unsealed(content)
    if checksum(body[:-CHECKSUM_BYTES]) != body[-CHECKSUM_BYTES:]:
        raise ValueError("is damaged: its checksum does not match; copy or export it again")
    header_length, mask_length, tensors_length, seal_length = lengths
    mask_start = HEAD.size + header_length
    tensors_start = mask_start + mask_length
    return _Parts(
        header=content[HEAD.size : mask_start],
        mask=content[mask_start:tensors_start],
        tensors=content[tensors_start : tensors_start + tensors_length],
        seal=content[len(content) - seal_length :],
    )


def _mask_and_codes(header: Header, part: bytes) -> tuple[bytes, bytes]:
    """Return the coded mask, and the codes of the levels after it; empty without levels."""
    end = len(part) - (0 if header.strengths is None else header.strengths.size)
    if end < 0:
        raise ValueError("has levels that are cut short; export the model again")
    return part[:end], part[end:]


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

    whole = {name: np.ascontiguousarray(tensor).reshape(tensor.shape) for name, tensor in sorted(tensors.items())}
    return save(whole)  # numpy makes a single number one of one dimension on the way


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
