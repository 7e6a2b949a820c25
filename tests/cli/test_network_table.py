"""A snapshot of the network as lines for a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.cli.crawler import CrawledNode, NetworkSnapshot
from dslnode.cli.network_table import (
    BLOCKS,
    COLUMNS,
    headline,
    report_lines,
    score_lines,
    snapshot_as_dict,
    sorted_nodes,
    sparkline,
    table_row,
)
from dslnode.v1 import node_pb2 as pb

HISTORY = [pb.Measurement(round=number, accuracy=number / 20) for number in range(1, 19)]
ONE = CrawledNode(
    "01",
    "board-1",
    "10.0.0.1:7711",
    pb.StatusReply(
        name="board-1",
        node_id="01",
        round=40,
        phase="aggregating",
        accuracy=0.9,
        payload_bits_sent=1_234_567,
        float32_bits_sent=39_506_144,
        history=HISTORY,
        layers=[pb.LayerStatus(name="0.weight", weights=9, density=0.5)],
    ),
)
TWO = CrawledNode("02", "board-2", "10.0.0.2:7711", pb.StatusReply(name="board-2", node_id="02", round=7, accuracy=0.5))
LOST = CrawledNode(
    "03",
    "board-3",
    "10.0.0.3:7711",
    None,
    (("01", pb.NeighbourStatus(name="board-3", round=12, problem="connection refused")),),
    "no answer",
)
SNAPSHOT = NetworkSnapshot("greenhouse", (ONE, TWO, LOST), frozenset({("01", "02")}))
BY_TITLE = {column.title: column for column in COLUMNS}


def cells(node: CrawledNode) -> list[str]:
    return [cell.plain for cell in table_row(node, SNAPSHOT)]


def test_a_row_has_the_figures_and_a_dash_for_unknown_values() -> None:
    assert cells(ONE) == ["board-1", "aggregating", "40", "90.0 %", "▁▁▂▃▃▄▅▆▇██", "1", "1.2 Mbit"]
    assert cells(LOST) == ["board-3", "down", "12", "-", "-", "0", "-"]


def test_a_node_that_others_are_linked_to_is_not_down() -> None:
    snapshot = NetworkSnapshot("greenhouse", (ONE, LOST), frozenset({("01", "03")}))
    assert table_row(LOST, snapshot)[1].plain == "no answer"


def test_all_columns_fit_into_80() -> None:
    scroll_bar = 1
    assert sum(column.width + 2 for column in COLUMNS) + scroll_bar <= 80
    for column, text in zip(COLUMNS, cells(ONE), strict=True):
        assert len(text) <= column.width
        assert len(column.title) <= column.width


@pytest.mark.parametrize(
    ("title", "upwards", "downwards"),
    [
        ("node", "123", "321"),
        ("round", "231", "132"),
        ("score", "213", "123"),
        ("links", "312", "123"),
        ("sent", "213", "123"),
    ],
)
def test_nodes_are_sorted_by_any_column_and_the_unknown_come_last(title: str, upwards: str, downwards: str) -> None:
    for order, reverse in ((upwards, False), (downwards, True)):
        found = "".join(node.name[-1] for node in sorted_nodes(SNAPSHOT, BY_TITLE[title], reverse=reverse))
        assert found == order


def test_the_headline_summarises_the_network() -> None:
    text = headline(SNAPSHOT, COLUMNS[3], reverse=True, lost=False).plain
    assert text.splitlines()[0] == "run greenhouse  3 nodes, 2 answer, 1 links"
    assert text.splitlines()[1].startswith("mean accuracy 70.0 %  sent 1.2 Mbit, float32 32 times that  by score ▼")
    assert "NO NODE ANSWERS" in headline(SNAPSHOT, COLUMNS[0], reverse=False, lost=True).plain
    assert (
        "mean accuracy -"
        in headline(NetworkSnapshot("x", (), frozenset()), COLUMNS[0], reverse=False, lost=False).plain
    )


def test_an_opened_node_shows_its_curve_and_layers() -> None:
    assert ONE.reply is not None
    lines = [line.plain for line in score_lines(ONE.reply, 80)]
    assert lines[0] == "accuracy, rounds 1 to 18, 5.0 % to 90.0 %"
    assert (lines[1][0], lines[1][-1], len(lines[1])) == (BLOCKS[0], BLOCKS[-1], 76)
    assert "0.weight" in lines[-1]
    assert "50.0 % of 9" in lines[-1]
    assert max(map(len, lines)) <= 80
    assert [line.plain for line in score_lines(pb.StatusReply(), 80)] == ["no score measured yet"]


def test_an_opened_node_that_does_not_answer_shows_the_reports_of_others() -> None:
    text = report_lines(LOST, SNAPSHOT).plain
    assert "10.0.0.3:7711: no answer" in text
    assert "board-1: not linked to it (connection refused), newest mask of its round 12" in text


@pytest.mark.parametrize("name", ["\x1b[2J\x1b]0;owned\x07", "a\nb", "[red]x[/]"])
def test_names_from_outside_change_nothing_on_a_terminal(name: str) -> None:
    reply = pb.StatusReply(name=name, phase=name, layers=[pb.LayerStatus(name=name)])
    node = CrawledNode("09", name, "", reply, (("09", pb.NeighbourStatus(problem=name)),), name)
    snapshot = NetworkSnapshot(name, (node,), frozenset())
    texts = [
        *table_row(node, snapshot),
        headline(snapshot, COLUMNS[0], reverse=False, lost=False),
        *score_lines(reply, 80),
    ]
    texts.append(report_lines(node, snapshot))
    for text in texts:
        assert all(c.isprintable() or c == "\n" for c in text.plain)
        assert not [span for span in text.spans if "red" in str(span.style)]


@given(st.lists(st.floats(0, 1), max_size=50))
def test_a_sparkline_has_a_block_for_each_value_and_keeps_their_order(values: list[float]) -> None:
    blocks = [BLOCKS.index(block) for block in sparkline(values)]
    assert len(blocks) == len(values)
    for value, block in zip(values, blocks, strict=True):
        for other, its_block in zip(values, blocks, strict=True):
            assert block <= its_block or value > other


def test_scripts_get_the_same_as_json() -> None:
    result = json.loads(json.dumps(snapshot_as_dict(SNAPSHOT)))
    assert result["links"] == [["01", "02"]]
    assert [node["name"] for node in result["nodes"]] == ["board-1", "board-2", "board-3"]
    assert result["nodes"][0]["status"]["accuracy"] == 0.9
    assert (result["nodes"][2]["status"], result["nodes"][2]["problem"]) == (None, "no answer")
