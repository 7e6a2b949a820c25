"""Writes the dashboards' JSON and the rules that count the network's components: ``make dashboards``."""

from __future__ import annotations

from pathlib import Path

from deploy.dashboards import layout
from deploy.dashboards.components import as_rules
from deploy.dashboards.network import network
from deploy.dashboards.node import node

DEPLOY = Path(__file__).parents[1]


def files() -> dict[Path, str]:
    """Return what is to be written, by file."""
    grafana = DEPLOY / "grafana" / "dashboards"
    return {
        grafana / "network.json": layout.as_json(network()),
        grafana / "node.json": layout.as_json(node()),
        DEPLOY / "prometheus" / "components.yml": as_rules(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
