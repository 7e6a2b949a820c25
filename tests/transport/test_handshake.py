"""The handshake: which nodes match, what a refusal says, which of two links stays."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dslnode
from dslnode.data.agreement import MAX_PACKED_BYTES, DataAgreement
from dslnode.data.dataset import DataSet, Examples
from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.data.target import Target
from dslnode.errors import PeerError
from dslnode.protocol.codec.mask_codec import MAX_ROUND
from dslnode.transport.handshake import (
    INCARNATION_BYTES,
    MAX_TEXT,
    NODE_ID_BYTES,
    PROTOCOL,
    REASONS,
    NetworkFingerprint,
    NodeInfo,
    check_match,
    read_hello,
    read_refusal,
    refusal,
    replaces,
)
from dslnode.v1 import node_pb2 as pb
from tests.transport.nodes import node_info

ME, OTHER = node_info(1), node_info(2)

texts = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=MAX_TEXT)
unsigned64 = st.integers(0, 2**64 - 1)
models = st.builds(
    NetworkFingerprint,
    fingerprint=st.binary(min_size=16, max_size=16),
    layout=st.binary(min_size=16, max_size=16),
    layers=st.integers(0, 2**32 - 1),
    weights=unsigned64,
    seed=unsigned64,
    scores=unsigned64,
)
node_ids = st.binary(min_size=NODE_ID_BYTES, max_size=NODE_ID_BYTES)
node_infos = st.builds(
    NodeInfo,
    run_id=texts,
    node_id=node_ids,
    incarnation=st.binary(min_size=INCARNATION_BYTES, max_size=INCARNATION_BYTES),
    name=texts,
    advertise=texts,
    model=models,
    exchange=st.sampled_from(["keep", "sign", "both"]),
    data=st.none()
    | st.builds(DataAgreement, st.binary(min_size=16, max_size=16), st.binary(max_size=MAX_PACKED_BYTES)),
)


def refused(act: Callable[[], object]) -> PeerError:
    """Return the error with which an act is refused."""
    with pytest.raises(PeerError) as caught:
        act()
    return caught.value


def hello_with(change: Callable[[pb.Hello], object]) -> pb.Frame:
    """Return an honest hello after a change."""
    frame = pb.Frame(hello=OTHER.to_proto(3))
    change(frame.hello)
    return frame


@given(node_infos, st.integers(0, MAX_ROUND - 1))
def test_a_hello_says_everything_about_its_sender(me: NodeInfo, round_number: int) -> None:
    wire = pb.Frame(hello=me.to_proto(round_number)).SerializeToString()
    assert read_hello(pb.Frame.FromString(wire)) == (me, round_number)


def test_the_key_of_a_neighbour_is_its_node_id_as_text() -> None:
    assert ME.key == ME.node_id.hex()


def test_another_protocol_version_is_refused_naming_both() -> None:
    error = refused(lambda: read_hello(hello_with(lambda hello: setattr(hello, "protocol", PROTOCOL + 41))))
    assert error.reason == "protocol"
    assert str(error).startswith(f"speaks protocol version {PROTOCOL + 41}, this node {PROTOCOL}")


def test_another_protocol_version_is_refused_whatever_else_the_hello_says() -> None:
    frame = pb.Frame(hello=pb.Hello(protocol=PROTOCOL + 1))
    assert refused(lambda: read_hello(frame)).reason == "protocol"


@pytest.mark.parametrize(
    "frame",
    [pb.Frame(), pb.Frame(mask=pb.MaskHeader()), pb.Frame(chunk=pb.MaskChunk(data=b"x"))],
    ids=["empty", "mask", "chunk"],
)
def test_a_conversation_begins_with_a_hello(frame: pb.Frame) -> None:
    assert refused(lambda: read_hello(frame)).reason == "no_hello"


def test_an_empty_hello_is_of_another_protocol() -> None:
    assert refused(lambda: read_hello(pb.Frame(hello=pb.Hello()))).reason == "protocol"


def test_a_refusal_in_place_of_a_hello_is_passed_on() -> None:
    error = refused(lambda: read_hello(refusal(PeerError("full", "has 100 neighbours already and takes no more"))))
    assert error.reason == "peer_full"
    assert str(error) == "refused: has 100 neighbours already and takes no more"


@pytest.mark.parametrize("field", ["node_id", "incarnation"])
@pytest.mark.parametrize("value", [b"", b"short", b"x" * 17, b"x" * 60_000])
def test_an_identifier_of_a_wrong_length_is_refused(field: str, value: bytes) -> None:
    error = refused(lambda: read_hello(hello_with(lambda hello: setattr(hello, field, value))))
    assert error.reason == "bad_hello"
    assert f"whose {field} has {len(value)} bytes instead of" in str(error)


@pytest.mark.parametrize("field", ["fingerprint", "layout"])
@pytest.mark.parametrize("value", [b"", b"x" * 15, b"x" * 17])
def test_a_digest_of_a_wrong_length_is_refused(field: str, value: bytes) -> None:
    error = refused(lambda: read_hello(hello_with(lambda hello: setattr(hello.model, field, value))))
    assert error.reason == "bad_hello"
    assert f"model.{field}" in str(error)


@pytest.mark.parametrize("field", ["run_id", "name", "advertise"])
@pytest.mark.parametrize("value", ["x" * (MAX_TEXT + 1), "a\nb", "\x1b[2J", "\x00", "\u202eevil"])
def test_a_text_too_long_or_not_printable_is_refused_without_repeating_it(field: str, value: str) -> None:
    error = refused(lambda: read_hello(hello_with(lambda hello: setattr(hello, field, value))))
    assert error.reason == "bad_hello"
    assert field in str(error)
    assert value not in str(error)


@pytest.mark.parametrize("field", ["run_id", "name", "advertise"])
@pytest.mark.parametrize("value", ["", "x" * MAX_TEXT, "Küche 2"])
def test_a_text_within_bounds_is_taken(field: str, value: str) -> None:
    neighbour, _ = read_hello(hello_with(lambda hello: setattr(hello, field, value)))
    assert getattr(neighbour, field) == value


@pytest.mark.parametrize("round_number", [MAX_ROUND, 2**32 - 1])
def test_a_round_beyond_the_last_is_refused(round_number: int) -> None:
    assert refused(lambda: read_hello(pb.Frame(hello=OTHER.to_proto(round_number)))).reason == "far_future"


def test_nodes_of_one_run_with_one_network_match() -> None:
    check_match(ME, OTHER)
    check_match(OTHER, ME)


def test_a_node_refuses_itself() -> None:
    error = refused(lambda: check_match(ME, replace(ME, incarnation=b"anything")))
    assert error.reason == "self"
    assert "--state-dir" in str(error)


def test_a_node_of_another_run_is_refused_naming_both_runs_and_the_option() -> None:
    error = refused(lambda: check_match(ME, replace(OTHER, run_id="barn")))
    assert error.reason == "run"
    assert all(word in str(error) for word in ("'barn'", "'run'", "--run-id"))


def model_with(fingerprint: bytes = b"g" * 16, **changes: object) -> NodeInfo:
    """Return the other node with another frozen network."""
    model = replace(OTHER.model, fingerprint=fingerprint)
    for field, value in changes.items():
        model = replace(model, **{field: value})  # type: ignore[arg-type]
    return replace(OTHER, model=model)


def test_another_model_is_refused_naming_both_sizes_and_the_option() -> None:
    error = refused(lambda: check_match(ME, model_with(layout=b"l" * 16, layers=5, weights=1_234_567)))
    assert error.reason == "model"
    assert "5 maskable layers with 1,234,567 weights, this node 2 with 181" in str(error)
    assert "--model" in str(error)


def test_another_seed_is_refused_naming_both_seeds_and_the_option() -> None:
    error = refused(lambda: check_match(ME, model_with(seed=8)))
    assert error.reason == "model"
    assert "from seed 8, this node from 7" in str(error)
    assert "--seed" in str(error)


def test_other_weights_from_the_same_seed_are_refused_hinting_at_the_release() -> None:
    error = refused(lambda: check_match(ME, model_with()))
    assert error.reason == "model"
    assert "same release" in str(error)


def test_a_refusal_keeps_reason_and_message() -> None:
    frame = pb.Frame.FromString(refusal(PeerError("run", "belongs to run 'x'")).SerializeToString())
    assert read_refusal(frame.refusal) == ("peer_run", "refused: belongs to run 'x'")


@given(st.text(max_size=60), st.text(max_size=2_000))
def test_a_refusals_text_is_cut_and_cleaned(reason: str, message: str) -> None:
    label, text = read_refusal(pb.Refusal(reason=reason, message=message))
    assert label.removeprefix("peer_") in REASONS | {"refused"}
    assert text.startswith("refused: ")
    assert text.isprintable()
    assert len(text) <= len("refused: ") + 500


def test_a_refusal_cannot_draw_on_the_terminal() -> None:
    _, text = read_refusal(pb.Refusal(reason="full", message="\x1b[2Jone\ntwo\x00\u202e"))
    assert text == "refused:  [2Jone two  "


def test_a_refusal_without_a_message_says_so() -> None:
    assert read_refusal(pb.Refusal()) == ("peer_refused", "refused: no reason given")


@pytest.mark.parametrize("reason", ["made_up", "run ", "RUN", "x" * 10_000, "peer_run"])
def test_reasons_that_a_peer_makes_up_share_one_metrics_label(reason: str) -> None:
    assert read_refusal(pb.Refusal(reason=reason))[0] == "peer_refused"


def test_every_reason_that_this_version_sends_is_one_that_it_can_read() -> None:
    package = Path(dslnode.__file__).parent
    sources = [source for name in ("protocol", "security", "transport") for source in (package / name).rglob("*.py")]
    pattern = re.compile(r"(?:PeerError|\bclose)\(\s*\"([a-z_]+)\"")
    given_reasons = {reason for source in sources for reason in pattern.findall(source.read_text())}
    assert given_reasons == REASONS


def dialled_the_kept_link(me: NodeInfo, neighbour: NodeInfo, *, dialled_first: bool) -> bool:
    """Return whether a node dialled the link that it keeps when it sees first one, then the other."""
    old, new = (neighbour, dialled_first), (neighbour, not dialled_first)
    return (not dialled_first) if replaces(me.node_id, old, new) else dialled_first


@given(st.lists(node_ids, min_size=2, max_size=2, unique=True), st.booleans(), st.booleans())
def test_when_both_dialled_both_keep_the_same_link_in_whatever_order_each_sees_them(
    ids: list[bytes], one_dialled_first: bool, other_dialled_first: bool
) -> None:
    first, second = (replace(me, node_id=node_id) for me, node_id in zip((ME, OTHER), ids, strict=True))
    by_one = dialled_the_kept_link(first, second, dialled_first=one_dialled_first)
    by_other = dialled_the_kept_link(second, first, dialled_first=other_dialled_first)
    assert by_one is not by_other
    assert by_one is (first.node_id < second.node_id)


@given(node_ids, st.booleans(), st.booleans())
def test_the_link_of_a_restarted_neighbour_replaces_the_old_one(
    me: bytes, dialled_old: bool, dialled_new: bool
) -> None:
    restarted = replace(OTHER, incarnation=b"nextlife")
    assert replaces(me, (OTHER, dialled_old), (restarted, dialled_new))


@given(node_ids, st.booleans())
def test_a_link_dialled_again_by_the_same_side_replaces_the_one_before(me: bytes, dialled: bool) -> None:
    assert replaces(me, (OTHER, dialled), (OTHER, dialled))


def agreement(schema: Schema | None, task: str = "classification") -> DataAgreement:
    examples = Examples(np.ones((1, 2), np.float32), np.zeros(1, np.int64))
    return DataAgreement.of(DataSet(examples, None, 2, "x", Target(task=task), schema=schema))


def pump(*classes: str, width: int = 1) -> Schema:
    columns = tuple(Column(name=f"sensor {n * n * 7919 % 65521}", kind=ColumnKind.NUMBER) for n in range(width))
    label = Column(name="state", kind=ColumnKind.LABEL)
    return Schema(target=("state",), classes=classes, columns=(*columns, label))


def test_another_schema_is_refused_with_the_first_difference_before_the_model_is_looked_at() -> None:
    me = replace(ME, data=agreement(pump("ok", "worn")))
    other = replace(OTHER, data=agreement(pump("ok", "off")), model=replace(OTHER.model, fingerprint=bytes(16)))
    error = refused(lambda: check_match(me, other))
    assert error.reason == "schema"
    assert str(error).startswith(
        "reads its data by another schema: classes: number 2 is 'off' there, 'worn' here; make"
    )
    assert "--schema" in str(error)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (agreement(pump("ok", "worn")), agreement(pump("ok", "worn"))),
        (agreement(pump("ok", "worn")), agreement(None)),
        (agreement(pump("ok", "worn")), None),
        (None, agreement(pump("ok", "worn"))),
        (agreement(None), agreement(None)),
    ],
)
def test_nodes_of_one_schema_match_and_those_that_say_nothing_of_it(
    mine: DataAgreement | None, theirs: DataAgreement | None
) -> None:
    check_match(replace(ME, data=mine), replace(OTHER, data=theirs))


def test_another_task_is_refused_without_a_schema() -> None:
    me, other = replace(ME, data=agreement(None)), replace(OTHER, data=agreement(None, "regression"))
    error = refused(lambda: check_match(me, other))
    assert (
        str(error) == "learns another task: 'regression' there, 'classification' here; start both with data of one task"
    )


def test_a_schema_too_long_to_travel_is_compared_by_its_digest() -> None:
    mine, theirs = agreement(pump("a", "b", width=20_000)), agreement(pump("a", "c", width=20_000))
    assert mine.packed == b""
    check_match(replace(ME, data=mine), replace(OTHER, data=mine))
    error = refused(lambda: check_match(replace(ME, data=mine), replace(OTHER, data=theirs)))
    assert str(error).startswith("reads its data by another schema than this node; make one")


@pytest.mark.parametrize(("fingerprint", "packed"), [(15, 0), (17, 0), (0, 0), (16, MAX_PACKED_BYTES + 1)])
def test_data_out_of_bounds_are_refused(fingerprint: int, packed: int) -> None:
    wrong = pb.DataAgreement(fingerprint=bytes(fingerprint), packed=bytes(packed))
    assert refused(lambda: read_hello(hello_with(lambda hello: hello.data.CopyFrom(wrong)))).reason == "bad_hello"


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a"', b"[1]", b'{"classes": {}, "inputs": 3}', b" " * 2**24])
def test_an_agreement_that_is_none_is_refused_in_words(content: bytes) -> None:
    theirs = DataAgreement(bytes(16), zlib.compress(content))
    error = refused(lambda: check_match(replace(ME, data=agreement(pump("a", "b"))), replace(OTHER, data=theirs)))
    assert error.reason == "schema"


@given(st.binary(max_size=64) | st.text(max_size=40).map(lambda text: zlib.compress(text.encode(errors="replace"))))
def test_whatever_an_agreement_holds_the_words_are_clean(packed: bytes) -> None:
    words = agreement(pump("a", "b")).disagreement(DataAgreement(bytes(16), packed))
    assert words.isprintable()
