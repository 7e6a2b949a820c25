"""What a simulation leaves: tables that add up, a page that loads nothing, and files that make the same network."""

from __future__ import annotations

import csv
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from dslnode.config.loader import LoadedSettings, load
from dslnode.errors import SettingsError
from dslnode.simulation.edge_file import read_edges
from dslnode.simulation.plan import SimulationPlan
from dslnode.simulation.records import Reference, summaries
from dslnode.simulation.report.deployment import differences, ticket_commands
from dslnode.simulation.report.grid_page import Course, grid_page
from dslnode.simulation.report.layout import places_of
from dslnode.simulation.report.page import PageFacts, page
from dslnode.simulation.report.report import rounds_of, write_report
from dslnode.simulation.report.svg import Curve, amount, line_plot
from dslnode.simulation.report.tables import read_hostile, read_rounds
from dslnode.simulation.simulation import Simulation
from dslnode.simulation.topology import ring, topology_of
from tests.simulation.networks import finished

COMMAND = "dslnode simulate --nodes 6 <&>"


@pytest.fixture(scope="module")
def ended() -> Simulation:
    return finished(link="100Mbit/s,1ms", hostile="0.2:inverted", keep_ratio="0.2..0.4", parts=4)


@pytest.fixture(scope="module")
def directory(ended: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("report")
    loaded: LoadedSettings = load({"split": "classes:4", "rounds": "3"}, {}, None)
    write_report(target, COMMAND, loaded, ended)
    return target


def text_of_file(directory: Path, name: str) -> str:
    return (directory / name).read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a page refers to, and the elements that are open at its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_there_is_a_row_for_every_node_and_round(ended: Simulation, directory: Path) -> None:
    with (directory / "rounds.csv").open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    assert len(rows) == 6 * 3
    assert [int(row["payload_bits"]) for row in rows] == [record.payload_bits for record in ended.records]


def test_the_rounds_as_parquet_are_those_of_the_csv(ended: Simulation, directory: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(directory / "rounds.parquet")
    assert table.column("score").to_pylist() == [record.score for record in ended.records]


def test_graph_and_boards_can_be_read_back(ended: Simulation, directory: Path) -> None:
    assert read_edges(directory / "edges.txt", 6) == ended.prepared.plan.neighbours
    with (directory / "nodes.csv").open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    assert [row["share"] for row in rows] == ["1/4", "2/4", "3/4", "4/4", "1/4", "2/4"]
    assert sum(row["hostile"] == "inverted" for row in rows) == 1


def test_the_page_loads_and_runs_nothing_and_its_pictures_are_well_formed(directory: Path) -> None:
    text = (directory / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.links == []
    assert "script" not in page.tags
    assert "dslnode simulate --nodes 6 &lt;&amp;&gt;" in text
    assert f"a node sends {32 * 18_944 * 2:,} bits per round" in text, "a ring has two neighbours"
    pictures = ["<svg" + part.partition("</svg>")[0] + "</svg>" for part in text.split("<svg")[1:]]
    assert len(pictures) == 7
    for picture in pictures:
        ElementTree.fromstring(picture)


def test_the_tickets_are_commands_that_there_are(directory: Path) -> None:
    lines = [line for line in text_of_file(directory, "tickets.sh").splitlines() if not line.startswith("#")]
    assert lines[:2] == ["set -e", "dslnode ca init"]
    words = shlex.split(lines[2])
    assert words[:4] == ["dslnode", "ca", "issue", "node-1"]
    assert words[words.index("--peers") + 1] == "node-2:7711,node-6:7711"
    assert {"split=classes:4", "share=1/4", "keep_ratio=0.2"} <= set(words)
    assert len(lines) == 2 + 6


def test_the_compose_file_has_a_service_for_every_node(directory: Path) -> None:
    compose = yaml.safe_load((directory / "compose.yml").read_text(encoding="utf-8"))
    assert list(compose["services"]) == [f"node-{i}" for i in range(1, 7)]
    assert compose["services"]["node-3"]["hostname"] == "node-3"
    assert set(compose["volumes"]) == set(compose["services"])


def test_a_summary_is_over_the_nodes_that_finished_the_round(ended: Simulation) -> None:
    found = summaries(ended.records[:7])
    assert [each.nodes for each in found] == [6, 1]
    assert found[0].worst_score is not None
    assert found[0].mean_score is not None
    assert found[0].worst_score <= found[0].mean_score


@pytest.mark.parametrize("points", [[(1.0, 2.0)], [(0.0, 0.0), (1e9, 1e-9)], [(-3.0, 5.0), (-3.0, 5.0)]])
def test_any_points_make_a_picture(points: list[tuple[float, float]]) -> None:
    ElementTree.fromstring(line_plot([Curve("one <name>", points), Curve("&", [])], across="x", along="y & z"))


def test_nothing_measured_is_said() -> None:
    assert "Nothing was measured" in line_plot([Curve("a", [])], across="x", along="y")


@pytest.mark.parametrize(("value", "text"), [(0.25, "0.25"), (1_500_000, "1.5M"), (20_000, "20k"), (3e9, "3G")])
def test_amounts_are_short(value: float, text: str) -> None:
    assert amount(value) == text


@pytest.mark.parametrize("count", [1, 2, 30, 700])
def test_every_node_has_a_place_inside_the_picture(count: int) -> None:
    places = places_of(topology_of("erdos:4", count, 1) if count > 2 else ring(count))
    assert len(set(places)) == count
    assert all(0 <= value <= 1 for place in places for value in place)


def test_silent_nodes_get_no_links_in_the_tickets() -> None:
    silent = finished(nodes=4, rounds=1, hostile="0.5:silent")
    plan: SimulationPlan = silent.prepared.plan
    assert sum("--peers" not in line for line in ticket_commands(plan, {})) >= 3


def test_a_directory_that_cannot_be_written_is_named(ended: Simulation, tmp_path: Path) -> None:
    (tmp_path / "rounds.csv").mkdir()
    with pytest.raises(SettingsError, match="cannot be written"):
        write_report(tmp_path, COMMAND, load({}, {}, None), ended)


def test_rounds_and_hostile_nodes_are_read_back(ended: Simulation, directory: Path) -> None:
    assert read_rounds(directory / "rounds.csv") == ended.records
    boards = ended.prepared.plan.boards
    assert read_hostile(directory / "nodes.csv") == {i for i, board in enumerate(boards) if board.hostile}


@pytest.mark.parametrize("text", ["node,round\n1,2\n", "node\nx\n"])
def test_rows_of_something_else_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rounds.csv").write_text(text)
    with pytest.raises(ValueError, match=r"a row is not that of a round|invalid literal"):
        read_rounds(tmp_path / "rounds.csv")


def test_the_page_of_a_grid_has_a_curve_for_every_combination_over_seeds(ended: Simulation) -> None:
    rounds = summaries(ended.records)
    courses = [Course(f"steps {steps}", rounds) for steps in (10, 30) for _ in range(2)]
    text = grid_page("4 simulations", "dslnode simulate", courses)
    pictures = ["<svg" + part.partition("</svg>")[0] + "</svg>" for part in text.split("<svg")[1:]]
    assert [len(ElementTree.fromstring(each).findall("{*}polyline")) for each in pictures] == [2, 2, 2]
    assert "mean score" in text
    named = [Course(f"steps {steps}", rounds, "accuracy") for steps in (10, 30)]
    assert "mean accuracy" in grid_page("2 simulations", "dslnode simulate", named)
    two = grid_page("2", "dslnode simulate", [named[0], Course("steps 30", rounds, "balanced accuracy")])
    assert "mean score" in two
    assert "steps 30 (balanced accuracy)" in two
    many = grid_page("many", "dslnode simulate", [Course(str(i), rounds) for i in range(20)])
    assert "The first 12 of 20 combinations are drawn." in many


def test_a_simulation_that_was_interrupted_while_it_was_built_leaves_a_report(
    ended: Simulation, tmp_path: Path
) -> None:
    write_report(tmp_path, COMMAND, load({}, {}, None), Simulation(ended.prepared))
    assert "Nothing was measured." in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_real_nodes_do_differently_is_said_in_both_files(directory: Path) -> None:
    for name in ("tickets.sh", "compose.yml"):
        remarks = [line for line in text_of_file(directory, name).splitlines() if line.startswith("# ")]
        assert "# All nodes are honest here; of those simulated, 1 lied (hostile in nodes.csv)." in remarks
        assert any("--link, --speed and --step-time are not in these files" in line for line in remarks)


@pytest.mark.parametrize(
    ("changed", "method", "said"),
    [
        ({"has_given_partition": True}, "", "cannot read --partition"),
        ({}, "dpsgd", "no daemon that does --method dpsgd"),
        ({"plan": {"until_score": 0.9}}, "", "have no --until"),
        ({"plan": {"churn": 0.1}}, "", "no node leaves by itself"),
    ],
)
def test_every_difference_is_said_where_there_is_one(
    ended: Simulation, changed: dict[str, Any], method: str, said: str
) -> None:
    plan = replace(ended.prepared.plan, **changed.get("plan", {}))
    prepared = replace(ended.prepared, **{**changed, "plan": plan})
    assert said in " ".join(differences(prepared, method))
    assert said not in " ".join(differences(ended.prepared))


def test_nodes_that_a_score_ends_do_as_many_rounds_as_the_simulation_had(ended: Simulation) -> None:
    plan = replace(ended.prepared.plan, until_score=0.1)
    settings = ended.prepared.settings.model_copy(update={"rounds": 10_000})
    until = Simulation(replace(ended.prepared, plan=plan, settings=settings), records=list(ended.records))
    assert rounds_of(until) == 3
    assert rounds_of(Simulation(until.prepared)) == 10_000
    assert rounds_of(Simulation(replace(ended.prepared, settings=settings), records=list(ended.records))) == 10_000


def polylines(text: str) -> list[list[str]]:
    """Return the classes of the curves of every plot on a page, in order."""
    plots = ["<svg" + part.partition("</svg>")[0] + "</svg>" for part in text.split("<svg")[1:]]
    return [[line.get("class", "") for line in ElementTree.fromstring(plot).findall("{*}polyline")] for plot in plots]


def test_a_reference_is_drawn_beside_the_scores_and_has_a_row_and_a_table(ended: Simulation, tmp_path: Path) -> None:
    records = [replace(record, payload_bits=1000 * record.payload_bits) for record in ended.records]
    beside = Simulation(ended.prepared, records=ended.records, reference=Reference("dpsgd", records))
    write_report(tmp_path, COMMAND, load({}, {}, None), beside)
    text = text_of_file(tmp_path, "page.html")
    three = ["curve first", "curve second", "curve third"]
    assert polylines(text)[:3] == [three, three, three[:2]]
    assert "dpsgd, mean</text>" in text
    assert "<td>dpsgd, 3</td>" in text
    ours, theirs = (summaries(each)[-1].mean_payload_bits for each in (ended.records, records))
    honest = summaries(record for record in ended.records if record.node in ended.prepared.plan.honest)
    assert theirs == 1000 * ours
    assert f"{honest[-1].mean_payload_bits:,.0f} bits after 3 rounds, with dpsgd {theirs:,.0f} bits" in text
    assert read_rounds(tmp_path / "reference.csv") == records


def test_a_reference_that_sends_nothing_is_in_the_plot_by_rounds_alone(ended: Simulation) -> None:
    silent = Reference("dense_alone", [replace(record, payload_bits=0) for record in ended.records])
    facts = PageFacts(title="", command="", score_name="accuracy", weights=1)
    text = page(facts, ended.prepared.plan, ended.records, silent)
    by_round, by_bits = map(ElementTree.fromstring, re.findall("<svg.*?</svg>", text)[:2])
    points = [[line.get("points") for line in plot.findall("{*}polyline")] for plot in (by_round, by_bits)]
    assert all(points[0])
    assert [bool(each) for each in points[1]] == [True, True, False]


def places_across(text: str) -> list[float]:
    [line] = ElementTree.fromstring(text).findall("{*}polyline")
    return [float(point.partition(",")[0]) for point in line.get("points", "").split()]


def test_equal_factors_are_equally_far_on_a_logarithmic_axis() -> None:
    curve = Curve("a", [(0.0, 0.0), (10.0, 1.0), (1e3, 2.0), (1e5, 3.0)])
    left, middle, right = places_across(line_plot([curve], across="x", along="y", log_across=True))
    assert middle - left == pytest.approx(right - middle, abs=0.2)
    assert left < middle


@pytest.mark.parametrize(
    ("points", "ticks"),
    [
        ([(1.0, 0.0), (1e4, 1.0)], ["1", "10", "100", "1k", "10k"]),
        ([(1.5e6, 0.0), (3e7, 1.0)], ["2M", "5M", "10M", "20M"]),
        ([(7.0, 0.0)], ["5", "10"]),
    ],
)
def test_a_logarithmic_axis_has_round_values(points: list[tuple[float, float]], ticks: list[str]) -> None:
    plot = ElementTree.fromstring(line_plot([Curve("a", points)], across="x", along="y", log_across=True))
    assert [text.text for text in plot.findall("{*}text") if text.get("class") == "tick x"] == ticks


def test_without_a_point_above_0_nothing_is_drawn_by_logarithms() -> None:
    text = line_plot([Curve("a", [(0.0, 1.0)])], across="x", along="y", log_across=True)
    assert "Nothing was measured" in text
