"""A status reply as JSON and on a terminal."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable

import pytest
from google.protobuf.descriptor import FieldDescriptor
from rich.console import Console

from dslnode.cli import status
from dslnode.cli.status import as_table, show_status
from dslnode.errors import SettingsError
from dslnode.telemetry.status_json import as_dict
from dslnode.v1 import node_pb2 as pb

BIG = 2**60 + 1
BOARD = pb.NeighbourStatus(
    name="board-2",
    node_id="02" * 16,
    address="[fe80::1]:7711",
    connected=True,
    round=0,
    staleness=3,
    agreement=0.75,
    payload_bits_sent=BIG,
    payload_bits_received=2_345,
)
UNREACHED = pb.NeighbourStatus(name="10.0.0.9:7711", address="10.0.0.9:7711", problem="connection refused")
REPLY = pb.StatusReply(
    name="board-1",
    round=12,
    phase="exchanging",
    accuracy=0.875,
    density=0.3,
    weights=19_000,
    payload_bits_sent=BIG,
    payload_bits_received=0,
    wire_bytes_sent=4_321,
    uptime_seconds=3_600.4,
    float32_bits_sent=987_654,
    neighbours=[BOARD, UNREACHED],
)


def drawn(reply: pb.StatusReply, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(as_table(reply))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_json_has_every_field_of_the_contract() -> None:
    contract = {"name", "round", "phase", "accuracy", "neighbours", "payload_bits_sent", "payload_bits_received"}
    for reply in (REPLY, pb.StatusReply()):
        fields = as_dict(reply)
        assert contract <= fields.keys()
        assert fields.keys() == {field.name for field in reply.DESCRIPTOR.fields}
    assert as_dict(pb.StatusReply())["neighbours"] == []


def test_json_numbers_are_numbers_however_large() -> None:
    fields = json.loads(json.dumps(as_dict(REPLY)))
    assert (fields["payload_bits_sent"], fields["payload_bits_received"]) == (BIG, 0)
    assert fields["neighbours"][0]["payload_bits_sent"] == BIG
    assert (fields["round"], fields["accuracy"]) == (12, 0.875)
    kinds = {FieldDescriptor.TYPE_UINT64: int, FieldDescriptor.TYPE_UINT32: int, FieldDescriptor.TYPE_STRING: str}
    for field in REPLY.DESCRIPTOR.fields:
        if field.is_repeated:
            continue
        assert type(fields[field.name]) is kinds.get(field.type, type(fields[field.name])), field.name


def test_json_has_null_for_unknown_values() -> None:
    fields = as_dict(REPLY)
    assert (fields["loss"], fields["train_accuracy"]) == (None, None)
    board, unreached = fields["neighbours"]
    assert (board["round"], board["staleness"], board["agreement"]) == (0, 3, 0.75)
    assert (unreached["round"], unreached["staleness"], unreached["agreement"]) == (None, None, None)
    assert (unreached["connected"], unreached["problem"]) == (False, "connection refused")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_null_for_a_loss_that_is_no_number(value: float) -> None:
    assert as_dict(pb.StatusReply(loss=value))["loss"] is None


@pytest.mark.parametrize("text", ["123", "NaN", ""])
def test_names_that_look_like_numbers_stay_text(text: str) -> None:
    assert as_dict(pb.StatusReply(name=text))["name"] == text


def test_the_table_has_the_facts() -> None:
    text = drawn(REPLY)
    for fact in (
        "board-1",
        "round 12, exchanging, up 3,600 s",
        "accuracy 87.5 % held-out, - train",
        "density 0.300 of 19,000 weights",
        f"sent {BIG:,} bits, received 0 bits",
        "float32 would have sent 987,654",
        "wire sent 4,321 bytes",
    ):
        assert fact in text


def test_the_table_has_a_row_for_every_neighbour_and_a_dash_for_unknown_values() -> None:
    rows = [line.split() for line in drawn(REPLY).splitlines()]
    assert ["board-2", "[fe80::1]:7711", "up", "0", "3", "0.750", f"{BIG:,}", "2,345"] in rows
    assert ["-", "10.0.0.9:7711", "down", "-", "-", "-", "0", "0"] in rows
    assert ["10.0.0.9:7711:", "connection", "refused"] in rows


def test_a_lost_neighbour_without_a_known_problem_is_down() -> None:
    assert " down " in drawn(pb.StatusReply(neighbours=[pb.NeighbourStatus(name="x")]))


@pytest.mark.parametrize("name", ["[/]", "[red]x", "[link=http://x]y[/link]", "\\[bold]", "x\\"])
def test_names_from_outside_are_never_taken_as_markup(name: str) -> None:
    text = drawn(pb.StatusReply(name=name, neighbours=[pb.NeighbourStatus(name=name, address="", problem=name)]))
    assert text.count(name) == 4


def answers(*replies: pb.StatusReply) -> Callable[[str, float, object], pb.StatusReply]:
    """Return a node that answers with these and is then interrupted."""
    left = iter(replies)

    def ask(_address: str, _timeout: float, _ticket: object) -> pb.StatusReply:
        reply = next(left, None)
        if reply is None:
            raise KeyboardInterrupt
        return reply

    return ask


def test_json_is_one_object_for_people_to_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "ask_status", answers(REPLY))
    show_status("127.0.0.1:7711", watch=False, as_json=True, timeout=1)
    assert json.loads(capsys.readouterr().out) == as_dict(REPLY)


@pytest.mark.parametrize("as_json", [True, False])
def test_watching_shows_each_answer_until_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    later = pb.StatusReply(name="board-1", round=13)
    monkeypatch.setattr(status, "ask_status", answers(REPLY, later))
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with pytest.raises(KeyboardInterrupt):
        show_status("127.0.0.1:7711", watch=True, as_json=as_json, timeout=1)
    lines = capsys.readouterr().out.splitlines()
    if as_json:
        assert [json.loads(line)["round"] for line in lines] == [12, 13]
    else:
        assert any("round 13" in line for line in lines)


def test_a_malformed_address_is_refused_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ask_status", answers())
    with pytest.raises(SettingsError, match="--address: 'nowhere' is not HOST:PORT"):
        show_status("nowhere", watch=False, as_json=False, timeout=1)


def test_usage_and_cap_are_shown_as_numbers_and_for_people() -> None:
    usage = pb.Usage(cap_bytes=50_000_000, cap_period="day", used_bytes=12_345_678, forecast_bytes=49_000_000)
    usage.exchanges_skipped, usage.interval_seconds = 17, 42.4
    reply = pb.StatusReply(name="board", usage=usage)
    assert as_dict(reply)["usage"]["used_bytes"] == 12_345_678
    assert as_dict(reply)["usage"]["cap_bytes"] == 50_000_000
    text = drawn(reply)
    assert "this day (UTC) 12,345,678 of 50,000,000 bytes both ways, forecast 49,000,000 bytes;" in text
    assert "no forecast yet" in drawn(pb.StatusReply(name="board", usage=pb.Usage(cap_period="day", used_bytes=1)))
    assert "masks skipped 17, an exchange every 42 s" in text
    assert as_dict(pb.StatusReply(usage=pb.Usage(used_bytes=1)))["usage"]["cap_bytes"] is None


def test_a_class_names_the_one_that_it_is_mistaken_for() -> None:
    classes = [pb.ClassStatus(name=name, examples=10, recall=0.6, precision=0.5) for name in ("ok", "worn", "broken")]
    reply = pb.StatusReply(classes=classes, confusion=[6, 1, 3, 0, 10, 0, 1, 2, 7])
    ends = [line.rpartition(", ")[2] for line in status.judgement_lines(reply)]
    assert ends == ["3 taken for broken", "50.0 % of its answers right", "2 taken for worn"]


def test_what_held_out_answers_say_stands_below_the_table() -> None:
    reply = pb.StatusReply(
        score=0.4,
        score_name="R2",
        form="levels",
        figures=[pb.Figure(name="MAE", value=1.25, unit="mm")],
        baselines=[pb.Baseline(name="mean", score=0.5, trivial=True), pb.Baseline(name="linear", score=0.75)],
        classes=[pb.ClassStatus(name="[red]hot", examples=1_200, recall=0.5)],
    )
    lines = status.judgement_lines(reply)
    assert lines[:3] == [
        "figures MAE 1.25 mm",
        "baselines mean 0.500, linear 0.750",
        "NO BETTER than a trivial predictor: mean",
    ]
    assert lines[3] == r"class \[red]hot: 50.0 % of 1,200 found, - of its answers right"
    assert "R2 0.400 held-out (levels), - train" in drawn(reply)
    assert status.judgement_lines(pb.StatusReply()) == []
