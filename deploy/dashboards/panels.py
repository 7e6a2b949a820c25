"""The types of panel that the dashboards are made of: each with a description and a unit, on a grid of 24 columns."""

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
HELD_OUT = 'dslnode_score{data="held_out"}'
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
    """A PromQL expression and the legend of its series; a reference line is drawn dashed and grey."""

    expression: str
    legend: str = "{{name}}"
    reference: bool = False


@dataclass(frozen=True)
class Spec:
    """Texts of a panel, its unit (by Grafana's name), its size on the grid and its bounds."""

    title: str
    description: str
    unit: str
    width: int
    height: int = 8
    minimum: float | None = None
    maximum: float | None = None
    warning: float | None = None  # red from here
    good: float | None = None  # green from here
    leads_to_node: bool = False  # a click on a series opens the node's own dashboard
    logarithmic: bool = False  # for values that lie decades apart
    empty: str = ""  # text in place of missing series


def named(expression: str, which: str = WHICH) -> str:
    """Return the expression with the label ``name`` in place of addresses, for the nodes that the dashboard shows."""
    return f"({expression}) * on (job, instance) group_left (name) {which}"


def target(query: Query, reference_id: str, *, as_table: bool = False) -> queries.Dataquery:
    """Return the query as Grafana has it."""
    built = queries.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(reference_id)
    return built.instant().format(PromQueryFormat.TABLE) if as_table else built.range()


def lines(spec: Spec, *given: Query, stacked: bool = False) -> Panel:
    """Return lines over time, with the last value of each in the legend."""
    panel = _style(timeseries.Panel(), spec).line_width(2).fill_opacity(40 if stacked else 5)
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
    if spec.logarithmic:
        panel.scale_distribution(common.ScaleDistributionConfig().type(options.ScaleDistribution.LOG).log(10))
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    for query, reference_id in zip(given, "ABCDEFGH", strict=False):
        panel.with_target(target(query, reference_id))
        if query.reference:
            panel.override_by_query(reference_id, _dashed())
    return panel


def figure(spec: Spec, query: Query, *, trend: bool = True) -> Panel:
    """Return one large number with its history behind it."""
    mode = options.BigValueGraphMode.AREA if trend else options.BigValueGraphMode.NONE
    panel = _style(stat.Panel(), spec).graph_mode(mode).with_target(target(query, "A"))
    if spec.warning is None and spec.good is None:
        panel.color_scheme(builders.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color("text"))
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def bars(spec: Spec, query: Query) -> Panel:
    """Return a bar for the last value of each series."""
    panel = _style(bargauge.Panel(), spec).with_target(target(query, "A"))
    panel.display_mode(options.BarGaugeDisplayMode.GRADIENT).orientation(options.VizOrientation.HORIZONTAL)
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def timeline(spec: Spec, query: Query) -> Panel:
    """Return coloured bands over time, one per series."""
    panel = _style(statetimeline.Panel(), spec).line_width(0).fill_opacity(70)
    return panel.with_target(target(query, "A")).merge_values(True)


def rows(spec: Spec, expressions: dict[str, str], labels: Sequence[str]) -> Panel:
    """Return a table that joins expressions, given by heading: a column for each of ``labels`` and each expression."""
    panel = _style(table.Panel(), spec).show_header(True)
    for reference_id, (_, expression) in zip("ABCDEFGH", expressions.items(), strict=False):
        panel.with_target(target(Query(expression, ""), reference_id, as_table=True))
    columns = {f"Value #{reference_id}": column for reference_id, column in zip("ABCDEFGH", expressions, strict=False)}
    order = {name: place for place, name in enumerate([*labels, *columns])}
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    return panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": columns},
        )
    )


def ledger(spec: Spec, label: str) -> Panel:
    """Return a table of the ledger's bytes by a label and direction, a column for each kind."""
    kinds = {
        title: f"sum by ({label}, direction) (" + named(f'{LEDGER}{{kind=~"{kind}"}}') + ")"
        for title, kind in KINDS.items()
    }
    return rows(spec, kinds, [label, "direction"])


def graph(spec: Spec, nodes: str, edges: str) -> Panel:
    """Return a graph of nodes and links; the queries' labels are the fields that Grafana's node graph wants."""
    panel = _style(nodegraph.Panel(), spec)
    panel.nodes(nodegraph.NodeOptions().main_stat_unit(spec.unit))
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


def _style(panel: AnyPanel, spec: Spec) -> AnyPanel:
    panel.title(spec.title).description(spec.description).unit(spec.unit).datasource(SOURCE)
    panel.span(spec.width).height(spec.height).thresholds(_thresholds(spec))
    if spec.minimum is not None:
        panel.min(spec.minimum)
    if spec.maximum is not None:
        panel.max(spec.maximum)
    if spec.empty:
        panel.no_value(spec.empty)
    if spec.leads_to_node:
        panel.data_links([builders.DashboardLink("${__field.labels.name}").url(NODE_LINK)])
    return panel


def _thresholds(spec: Spec) -> builders.ThresholdsConfig:
    steps = [models.Threshold(None, "text" if spec.warning is None and spec.good is None else "green")]
    if spec.good is not None:
        steps = [models.Threshold(None, "red"), models.Threshold(spec.good, "green")]
    if spec.warning is not None:
        steps.append(models.Threshold(spec.warning, "red"))
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
