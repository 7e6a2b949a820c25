"""The kinds of panel that the dashboards are made of: each with a description and a unit, on a grid of 24 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, nodegraph, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus as queries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
WHICH = 'dslnode_info{run=~"$run", name=~"$node"}'
ALONE = 'dslnode_info{run=~"$run-alone", name=~"$node"}'
"""Nodes that learn the same without neighbours, in a run of that name: the line to compare with."""
HELD_OUT = 'dslnode_accuracy_ratio{data="held_out"}'
LEDGER = "dslnode_ledger_bytes_total"
RANGE = "[$__rate_interval]"
KINDS = {
    "payload": ".*_payload",
    "framing": ".*_framing",
    "control": "control",
    "sent again": "resent",
    "TLS, TCP, IP": "transport",
    "total": ".*",
}
"""The ledger's kinds as tables show them: titles and patterns."""

NODE_LINK = (
    "/d/dslnode-node?${datasource:queryparam}&${run:queryparam}&var-node=${__field.labels.name}&${__url_time_range}"
)

Panel = Builder[models.Panel]
AnyPanel = TypeVar(
    "AnyPanel", timeseries.Panel, stat.Panel, bargauge.Panel, statetimeline.Panel, table.Panel, nodegraph.Panel
)


@dataclass(frozen=True)
class Query:
    """A PromQL expression and what the legend calls its series; a reference line is drawn dashed and grey."""

    expression: str
    legend: str = "{{name}}"
    reference: bool = False


@dataclass(frozen=True)
class Look:
    """What a panel says of itself, its unit (Grafana's name for it), its place on the grid and its bounds."""

    title: str
    description: str
    unit: str
    width: int
    height: int = 8
    least: float | None = None
    most: float | None = None
    warning: float | None = None  # red from here
    good: float | None = None  # green from here
    leads_to_node: bool = False  # a click on a series opens the node's own dashboard
    logarithmic: bool = False  # for values that lie decades apart
    empty: str = ""  # what is shown where there is no series


def named(expression: str, which: str = WHICH) -> str:
    """Return the expression with the label ``name`` in place of addresses, for the nodes that the dashboard shows."""
    return f"({expression}) * on (job, instance) group_left (name) {which}"


def target(query: Query, reference_id: str, *, as_table: bool = False) -> queries.Dataquery:
    """Return the query as Grafana has it."""
    built = queries.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(reference_id)
    return built.instant().format(PromQueryFormat.TABLE) if as_table else built.range()


def lines(look: Look, *asked: Query, stacked: bool = False) -> Panel:
    """Return lines over time, with the last value of each in the legend."""
    panel = _dress(timeseries.Panel(), look).line_width(2).fill_opacity(40 if stacked else 5)
    panel.show_points(options.VisibilityMode.NEVER).tooltip(
        common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING)
    )
    panel.legend(
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.TABLE)
        .placement(options.LegendPlacement.RIGHT)
        .calcs(["lastNotNull"])
        .show_legend(True)
    )
    if look.logarithmic:
        panel.scale_distribution(common.ScaleDistributionConfig().type(options.ScaleDistribution.LOG).log(10))
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    for query, reference_id in zip(asked, "ABCDEFGH", strict=False):
        panel.with_target(target(query, reference_id))
        if query.reference:
            panel.override_by_query(reference_id, _dashed())
    return panel


def figure(look: Look, asked: Query, *, trend: bool = True) -> Panel:
    """Return one large number with its course behind it."""
    mode = options.BigValueGraphMode.AREA if trend else options.BigValueGraphMode.NONE
    panel = _dress(stat.Panel(), look).graph_mode(mode).with_target(target(asked, "A"))
    if look.warning is None and look.good is None:
        panel.color_scheme(builders.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color("text"))
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def bars(look: Look, asked: Query) -> Panel:
    """Return a bar for the last value of each series."""
    panel = _dress(bargauge.Panel(), look).with_target(target(asked, "A"))
    panel.display_mode(options.BarGaugeDisplayMode.GRADIENT).orientation(options.VizOrientation.HORIZONTAL)
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def timeline(look: Look, asked: Query) -> Panel:
    """Return coloured bands over time, one a series."""
    panel = _dress(statetimeline.Panel(), look).line_width(0).fill_opacity(70)
    return panel.with_target(target(asked, "A")).merge_values(True)


def rows(look: Look, asked: dict[str, str], names: Sequence[str]) -> Panel:
    """Return a table of what the queries have in common: a column for each of ``names`` (labels) and each query."""
    panel = _dress(table.Panel(), look).show_header(True)
    for reference_id, (_, expression) in zip("ABCDEFGH", asked.items(), strict=False):
        panel.with_target(target(Query(expression, ""), reference_id, as_table=True))
    columns = {f"Value #{reference_id}": column for reference_id, column in zip("ABCDEFGH", asked, strict=False)}
    order = {name: place for place, name in enumerate([*names, *columns])}
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    return panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": columns},
        )
    )


def ledger(look: Look, label: str) -> Panel:
    """Return a table of the ledger's bytes by a label and direction, a column for each kind."""
    kinds = {
        title: f"sum by ({label}, direction) (" + named(f'{LEDGER}{{kind=~"{kind}"}}') + ")"
        for title, kind in KINDS.items()
    }
    return rows(look, kinds, [label, "direction"])


def graph(look: Look, nodes: str, edges: str) -> Panel:
    """Return a graph of nodes and links; the queries' labels are the fields that Grafana's node graph wants."""
    panel = _dress(nodegraph.Panel(), look)
    panel.nodes(nodegraph.NodeOptions().main_stat_unit(look.unit))
    panel.edges(nodegraph.EdgeOptions().main_stat_unit("percentunit"))
    for reference_id, expression in (("nodes", nodes), ("edges", edges)):
        panel.with_target(target(Query(expression, ""), reference_id, as_table=True))
    renamed = {"regex": "Value.*", "renamePattern": "mainstat"}
    return panel.with_transformation(models.DataTransformerConfig(id_val="renameByRegex", options=renamed))


def _dashed() -> list[models.DynamicConfigValue]:
    return [
        models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
        models.DynamicConfigValue("custom.fillOpacity", 0),
        models.DynamicConfigValue("custom.stacking", {"mode": "none"}),
        models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "semi-dark-text"}),
    ]


def _dress(panel: AnyPanel, look: Look) -> AnyPanel:
    panel.title(look.title).description(look.description).unit(look.unit).datasource(SOURCE)
    panel.span(look.width).height(look.height).thresholds(_thresholds(look))
    if look.least is not None:
        panel.min(look.least)
    if look.most is not None:
        panel.max(look.most)
    if look.empty:
        panel.no_value(look.empty)
    if look.leads_to_node:
        panel.data_links([builders.DashboardLink("${__field.labels.name}").url(NODE_LINK)])
    return panel


def _thresholds(look: Look) -> builders.ThresholdsConfig:
    steps = [models.Threshold(None, "text" if look.warning is None and look.good is None else "green")]
    if look.good is not None:
        steps = [models.Threshold(None, "red"), models.Threshold(look.good, "green")]
    if look.warning is not None:
        steps.append(models.Threshold(look.warning, "red"))
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
