"""The file of a personal model: what goes in comes out, and no damage gets through."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dslnode.errors import ModelError
from dslnode.inference.levels import Levels
from dslnode.inference.model_file import CHECKSUM_BYTES, HEAD, checksum, pack, read_model, sealed, unpack, unsealed
from dslnode.inference.model_header import Description, InputScaling, Layer, Score
from dslnode.inference.operations import Activation, Flatten, Linear
from dslnode.inference.personal_model import PersonalModelFile, Seal

DESCRIPTION = Description(
    model="mlp",
    run_id="run",
    node="pump-3",
    made_by="dslnode test",
    network_seed=7,
    layers=(Layer(name="1.weight", shape=(40, 30), scale=0.25), Layer(name="3.weight", shape=(3, 40), scale=0.5)),
    input_shape=(30,),
    outputs=3,
    task="classification",
    names=("idle", "worn", "broken"),
    operations=(
        Flatten(),
        Linear(weight="1.weight"),
        Activation(kind="relu"),
        Linear(weight="3.weight", bias="3.bias"),
    ),
)


def described(*, base: Description = DESCRIPTION, **changes: Any) -> Description:
    """Return a description with other values; ``data_schema`` as a schema."""
    if "data_schema" in changes:
        schema = changes.pop("data_schema")
        changes["schema_values"] = None if schema is None else schema.model_dump(mode="json")
    return msgspec.structs.replace(base, **changes)


def example(seed: int = 1, density: float = 0.3) -> PersonalModelFile:
    draws = np.random.default_rng(seed)
    mask = (draws.random(DESCRIPTION.mask_layout.size) < density).astype(np.uint8)
    bias = draws.normal(size=3).astype(np.float32)
    return PersonalModelFile(
        description=DESCRIPTION, round=12, mask=mask, tensors={"3.bias": bias}, score=Score(name="accuracy", value=0.9)
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.floats(0, 1))
def test_a_model_comes_back_as_it_was(seed: int, density: float) -> None:
    model = example(seed, density)
    again = unpack(pack(model))
    assert again.description == model.description
    assert (again.round, again.score, again.threshold, again.seal) == (12, model.score, None, None)
    assert (again.mask == model.mask).all()
    assert {name: tensor.tolist() for name, tensor in again.tensors.items()} == {
        name: tensor.tolist() for name, tensor in model.tensors.items()
    }


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_tensors_keep_their_shape(shape: tuple[int, ...]) -> None:
    tensors = {**example().tensors, "temperature": np.ones(shape, np.float32)}
    assert unpack(pack(replace(example(), tensors=tensors))).tensors["temperature"].shape == shape


@pytest.mark.parametrize("place", [0, 3, 9, 20, HEAD.size + 5, -30, -1])
def test_a_flipped_bit_is_noticed(place: int) -> None:
    content = bytearray(pack(example()))
    content[place] ^= 4
    with pytest.raises(ValueError, match=r"export (it|the model) again|newer dslnode|copy or export"):
        unpack(bytes(content))


@pytest.mark.parametrize("kept", [0, 5, HEAD.size, HEAD.size + 10, -1])
def test_a_cut_file_is_refused(kept: int) -> None:
    with pytest.raises(ValueError, match=r"no model's file|cut short"):
        unpack(pack(example())[:kept])


def test_a_file_of_a_later_format_is_named_as_such() -> None:
    content = bytearray(pack(example()))
    content[8:10] = struct.pack("<H", 9)
    with pytest.raises(ValueError, match="of format 9, and this release reads up to 3; install a newer dslnode"):
        unpack(bytes(content))


def levelled() -> PersonalModelFile:
    """Return the example with a level for each kept weight."""
    codes = example().mask * (1 + np.arange(len(example().mask), dtype=np.uint8) % 7)
    return replace(example(), levels=Levels(codes, tuple(0.25 + 0.1 * i for i in range(len(described().layers)))))


def test_levels_come_back_in_a_file_of_the_third_format_and_scale_the_weights() -> None:
    content = pack(levelled())
    assert content[8:10] == b"\x03\0"
    found, plain = unpack(content), unpack(pack(example()))
    assert found.levels is not None
    strengths = found.levels.strengths(found.description.mask_layout)
    for layer, span in found.description.mask_layout.spans():
        expected = plain.weights()[layer.name] * strengths[span].reshape(layer.shape)
        assert np.allclose(found.weights()[layer.name], expected, rtol=1e-6)
    assert plain.levels is None


@pytest.mark.parametrize("size", ["0", "5", "999999"])
def test_levels_whose_length_lies_are_refused(size: str) -> None:
    content = pack(levelled())
    lengths = HEAD.unpack_from(content)
    text = zlib.decompress(content[HEAD.size : HEAD.size + lengths[2]]).decode()
    packed = zlib.compress(re.sub(r'"size":\d+', f'"size":{size}', text).encode())
    body = (
        HEAD.pack(*lengths[:2], len(packed), *lengths[3:]) + packed + content[HEAD.size + lengths[2] : -CHECKSUM_BYTES]
    )
    with pytest.raises(ValueError, match=r"coded mask|levels"):
        unpack(body + checksum(body))


def test_only_a_file_with_an_input_scaling_needs_the_second_format() -> None:
    scaling = InputScaling(centre=(1.5,) * 30, scale=(0.1,) * 30)
    scaled = replace(example(), description=described(input_scaling=scaling))
    assert [pack(model)[8:10] for model in (example(), scaled)] == [b"\x01\0", b"\x02\0"]
    assert unpack(pack(scaled)).description.input_scaling == scaling
    assert unpack(pack(example())).description.input_scaling is None


def rewritten(header: bytes) -> bytes:
    """Return the example with another header, and a checksum that is right."""
    content = pack(example())
    magic, version, length, mask, tensors, _ = HEAD.unpack_from(content)
    text = zlib.compress(header)
    rest = content[HEAD.size + length : -CHECKSUM_BYTES]
    body = HEAD.pack(magic, version, len(text), mask, tensors, 0) + text + rest
    return body + checksum(body)


def header_text() -> str:
    content = pack(example())
    return zlib.decompress(content[HEAD.size : HEAD.size + HEAD.unpack_from(content)[2]]).decode()


@pytest.mark.parametrize(
    ("former", "latter", "complaint"),
    [
        ('"network_seed":7', '"network_seed":8', "another mask|cut short|end where"),
        ('"3.bias"', '"4.bias"', "lacks the weights 4.bias"),
    ],
)
def test_a_header_that_does_not_fit_the_rest_is_refused(former: str, latter: str, complaint: str) -> None:
    assert former in header_text()
    with pytest.raises(ValueError, match=complaint):
        unpack(rewritten(header_text().replace(former, latter, 1).encode()))


def test_a_seal_signs_all_that_comes_before_it() -> None:
    content = pack(example())
    whole = sealed(content, Seal(b"signature", b"certificate"))
    assert unsealed(whole) == content
    seal = unpack(whole).seal
    assert seal is not None
    assert (seal.signature, seal.certificate) == (b"signature", b"certificate")


def test_errors_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pump.dslm"
    with pytest.raises(ModelError, match=r"pump\.dslm: cannot be read"):
        read_model(file)
    file.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"pump\.dslm: is no model's file"):
        read_model(file)
    file.write_bytes(pack(example()))
    assert read_model(file).round == 12


def test_a_directory_is_said_to_be_exported_first(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"it is a directory.*dslnode export --state-dir {tmp_path} -o FILE"):
        read_model(tmp_path)


def test_a_model_without_masked_weights_has_no_mask() -> None:
    bare = described(layers=(), operations=())
    model = replace(example(), description=bare, mask=np.empty(0, np.uint8))
    assert unpack(pack(model)).mask.size == 0
