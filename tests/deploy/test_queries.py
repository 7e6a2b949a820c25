"""Every query of every panel, rule and variable, put to a real Prometheus that scrapes real daemons."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.processes import NodeProcess, free_port
from tests.deploy.asker import Asker
from tests.deploy.vandal import Vandal
from tests.networks import Operator

ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RULES = [ROOT / "deploy" / "prometheus" / name for name in ("components.yml", "alerts.yml")]
DEADLINE = 240.0  # a busy machine takes half a minute to start a daemon
ROUNDS = 3

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Debian's prometheus is not installed")


class Prometheus:
    """A real server on loopback that scrapes the given addresses every second. Ends when left."""

    def __init__(self, directory: Path, targets: list[str]) -> None:
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES[0])],
            "scrape_configs": [{"job_name": "dslnode", "static_configs": [{"targets": targets}]}],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Prometheus:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE)
        self._log.close()

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that the expression gives now; fails if Prometheus does not understand it."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=DEADLINE) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def wait_for(self, expression: str, *, least: int = 1) -> list[dict[str, Any]]:
        """Return the series that the expression gives as soon as it gives as many."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if len(found := self.ask(expression)) >= least:
                    return found
            time.sleep(0.2)
        raise AssertionError(f"not {least} series in {DEADLINE} s: {expression}")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Two nodes that learn together, one with another frozen network that they refuse, and one that learns alone.

    The first node has a data cap, answers predictions, and bans a vandal.
    """
    operator = Operator(tmp_path_factory.mktemp("network") / "authority", "greenhouse")
    ports, metrics = [free_port() for _ in range(4)], [free_port() for _ in range(4)]
    peers, predictions = [f"127.0.0.1:{port}" for port in ports], f"127.0.0.1:{free_port()}"
    with contextlib.ExitStack() as running:
        for number, name in enumerate(("a", "b", "stranger")):
            options = {
                "--ticket": str(operator.ticket(name)),
                "--seed": "2" if name == "stranger" else "1",
                "--peers": ",".join(peer for peer in peers[:2] if peer != peers[number]),
                "--metrics": f"127.0.0.1:{metrics[number]}",
                "--share": f"{number + 1}/3",
                "--evaluate-every": "1",
                "--local-steps": "100",
                "--round-deadline": "2",
                "--state-dir": str(tmp_path_factory.mktemp(name)),
            }
            given = [part for option in options.items() for part in option]
            given += ["--data-cap", "1GB/day", "--shadow-alone", "--serve", predictions] if name == "a" else []
            running.enter_context(NodeProcess(name, ports[number], *given))
        alone = ("--run-id", "greenhouse-alone", "--share", "1/3", "--evaluate-every", "1", "--local-steps", "100")
        running.enter_context(NodeProcess("a", ports[3], *alone, "--metrics", f"127.0.0.1:{metrics[3]}"))
        running.enter_context(Asker(predictions))
        running.enter_context(Vandal(operator.ticket("vandal"), peers[0]))
        targets = [f"127.0.0.1:{port}" for port in metrics]
        server = running.enter_context(Prometheus(tmp_path_factory.mktemp("prometheus"), targets))
        server.wait_for(f"min(dslnode_rounds_finished_total) >= {ROUNDS} and count(dslnode_loss) == 4")
        server.wait_for('dslnode_messages_refused_total > 0 and on (instance) dslnode_info{name="a"}')
        server.wait_for('count_over_time(dslnode_peer_banned{neighbour="vandal"}[1m]) > 3')
        server.wait_for("count_over_time(dslnode:components[1m]) > 3")
        server.wait_for("dslnode_predict_rows_total > 10")
        yield server


def resolved(expression: str) -> str:
    """Return the expression with what Grafana puts in place of its variables."""
    for name, value in {
        "$__rate_interval": "30s",
        "$run": "greenhouse",
        "$node": "a",
        "[5m]": "[30s]",
        "[15m]": "[30s]",
        "[1h]": "[30s]",
    }.items():
        expression = expression.replace(name, value)
    assert "$" not in expression.replace('"$1"', "")
    return expression


PANEL_QUERIES = [
    pytest.param(target["expr"], id=f"{file.stem}: {panel['title']} {target['refId']}")
    for file in DASHBOARDS
    for panel in json.loads(file.read_text())["panels"]
    for target in panel.get("targets", [])
]


@pytest.mark.parametrize("expression", PANEL_QUERIES)
def test_each_panel_shows_something(prometheus: Prometheus, expression: str) -> None:
    series = prometheus.wait_for(resolved(expression))
    assert any(one["value"][1] != "NaN" for one in series)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_variables_offer_runs_and_nodes(prometheus: Prometheus, file: Path) -> None:
    for variable in json.loads(file.read_text())["templating"]["list"][1:]:
        selector, label = variable["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        values = {one["metric"][label] for one in prometheus.wait_for(resolved(selector))}
        assert values == ({"greenhouse", "greenhouse-alone"} if label == "run" else {"a", "b", "stranger"})


RULE_QUERIES = [
    pytest.param(rule["expr"], id=rule.get("alert", rule.get("record")))
    for file in RULES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("expression", RULE_QUERIES)
def test_each_rule_asks_for_metrics_that_there_are(prometheus: Prometheus, expression: str) -> None:
    """An alert that does not fire gives nothing, so what it compares is asked for."""
    prometheus.ask(expression)
    names = {word for word in _words(expression) if word.startswith(("dslnode_", "dslnode:", "process_"))}
    for name in names:
        prometheus.wait_for(name)


def _words(expression: str) -> list[str]:
    return "".join(letter if letter.isalnum() or letter in "_:" else " " for letter in expression).split()


def test_an_isolated_node_is_a_component(prometheus: Prometheus) -> None:
    prometheus.wait_for('dslnode:components{run="greenhouse"} == 2')


def test_the_graph_has_every_node_and_both_ends_of_every_link(prometheus: Prometheus) -> None:
    network = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "network.json").read_text())
    graph = next(panel for panel in network["panels"] if panel["type"] == "nodeGraph")
    queries = [target["expr"].replace("$run", "greenhouse").replace("$node", "a|b") for target in graph["targets"]]
    nodes, edges = ([one["metric"] for one in prometheus.wait_for(query, least=2)] for query in queries)
    assert {(node["id"], node["title"]) for node in nodes} == {("a", "a"), ("b", "b")}
    assert {(edge["id"], edge["source"], edge["target"]) for edge in edges} == {("a b", "a", "b"), ("b a", "b", "a")}
