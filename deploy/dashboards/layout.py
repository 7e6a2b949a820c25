"""What the two dashboards have in common: variables, links to one another, rows, and the JSON that Grafana reads."""

from __future__ import annotations

import json
from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from deploy.dashboards.panels import SOURCE, Panel

TAG = "dslnode"
NETWORK, NODE = "dslnode-network", "dslnode-node"


def new(uid: str, title: str, description: str, *, one_node: bool) -> builders.Dashboard:
    """Return an empty dashboard with the variables datasource, run and node, and links to its sisters."""
    made = builders.Dashboard(title).uid(uid).description(description).tags([TAG]).readonly()
    made.time("now-1h", "now").refresh("10s").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    made.with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    made.with_variable(_variable("run", "Run", "label_values(dslnode_info, run)"))
    node = _variable("node", "Node", 'label_values(dslnode_info{run=~"$run"}, name)')
    made.with_variable(node if one_node else node.multi(True).include_all(True).all_value(".*"))
    sisters = builders.DashboardLink("dslnode").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    made.link(sisters.include_vars(True).keep_time(True).tooltip("The other dashboard, same time, same run"))
    return made


def add(made: builders.Dashboard, title: str, panels: Sequence[Panel]) -> None:
    """Add a row of panels under a heading."""
    made.with_row(builders.Row(title))
    for panel in panels:
        made.with_panel(panel)


def as_json(made: builders.Dashboard) -> str:
    """Return the dashboard as Grafana's provisioning reads it."""
    built = made.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _variable(name: str, label: str, query: str) -> builders.QueryVariable:
    asked = builders.QueryVariable(name).label(label).query(query).datasource(SOURCE)
    return asked.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
