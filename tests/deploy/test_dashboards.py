"""The dashboards: up to date, readable, made of known panels, and nothing in them that Grafana would not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards.__main__ import files

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
PANEL_TYPES = {"bargauge", "nodeGraph", "row", "stat", "state-timeline", "table", "timeseries"}
UNITS = {"none", "percentunit", "bits", "bps", "Bps", "bytes", "s"}
GRID_COLUMNS = 24

register_default_plugins()


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def panels(file: Path) -> list[dict[str, Any]]:
    return [panel for panel in read(file)["panels"] if panel["type"] != "row"]


PANELS = [pytest.param(panel, id=f"{file.stem}: {panel['title']}") for file in DASHBOARDS for panel in panels(file)]


def test_the_committed_files_are_those_that_the_code_makes() -> None:
    made = files()
    assert {path for path in made if path.suffix == ".json"} == set(DASHBOARDS)
    stale = [path.name for path, text in made.items() if path.read_text() != text]
    assert not stale, "make them again with make dashboards"


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_grafanas_own_model_knows_every_key(file: Path) -> None:
    """What does not come back from the round trip is a key that Grafana's schema does not have."""
    there = read(file)
    back = json.loads(json.dumps(Dashboard.from_json(there), cls=JSONEncoder))
    assert back == there


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_key_that_grafana_does_not_know_does_not_come_back(file: Path) -> None:
    """The round trip above can fail: that is what it is for."""
    there = read(file)
    panel = next(panel for panel in there["panels"] if panel["type"] == "timeseries")
    panel["fieldConfig"]["defaults"]["unti"] = "bits"
    assert json.loads(json.dumps(Dashboard.from_json(there), cls=JSONEncoder)) != there


@pytest.mark.parametrize("panel", PANELS)
def test_each_panel_has_title_description_and_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] in PANEL_TYPES
    assert panel["title"]
    assert len(panel["description"]) > 5
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_do_not_overlap_or_stick_out(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in read(file)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= GRID_COLUMNS
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_variables_choose_source_run_and_node_and_links_lead_to_the_other(file: Path) -> None:
    found = read(file)
    assert [variable["name"] for variable in found["templating"]["list"]] == ["datasource", "run", "node"]
    assert [link["tags"] for link in found["links"]] == [["dslnode"]]
    assert found["tags"] == ["dslnode"]
    assert found["links"][0]["includeVars"]
    assert found["links"][0]["keepTime"]


def test_identifiers_are_unique_and_never_change() -> None:
    assert {read(file)["uid"] for file in DASHBOARDS} == {"dslnode-network", "dslnode-node"}
