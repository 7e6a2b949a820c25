"""The dashboard *Network*: all nodes of a run at a glance, what they exchange and who is connected to whom."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.dashboards import layout
from deploy.dashboards.panels import RANGE, WHICH, Look, Panel, Query, figure, graph, lines, named, rows

HELD_OUT = 'dslnode_accuracy_ratio{data="held_out"}'
SENT = 'dslnode_payload_bit_total{direction="sent"}'
WIRE = "dslnode_wire_bytes_total"
FLOAT32 = "dslnode_float32_equivalent_bit_total"
THIRTY_DAYS = 30 * 24 * 3600


def network() -> Dashboard:
    """Return the dashboard."""
    made = layout.new(
        layout.NETWORK,
        "dslnode network",
        "All nodes of a run: what they learn, what it costs, and who is connected to whom.",
        one_node=False,
    )
    layout.add(made, "At a glance", _at_a_glance())
    layout.add(made, "Learning", _learning())
    layout.add(made, "Communication", _communication())
    layout.add(made, "Connections", _connections())
    return made


def _at_a_glance() -> list[Panel]:
    dense, sent = (f"sum({named(f'sum by (job, instance) ({what})')})" for what in (FLOAT32, SENT))
    return [
        figure(Look("Nodes", "Nodes that Prometheus reaches now.", "none", 4, 4), Query(f"count({WHICH})", "")),
        figure(
            Look(
                "Silent",
                "Nodes that were seen in the last hour and do not answer now.",
                "none",
                4,
                4,
                warning=1,
            ),
            Query(f"count(last_over_time({WHICH}[1h])) - count({WHICH})", ""),
        ),
        figure(
            Look(
                "Components",
                "Parts that the network falls into; 1 if every node can be reached from every other over open links. "
                "Right for networks of up to 12 hops across.",
                "none",
                4,
                4,
                warning=2,
            ),
            Query('dslnode:components{run=~"$run"}', "{{run}}"),
        ),
        figure(
            Look("Mean accuracy", "Held-out accuracy, the mean of all nodes.", "percentunit", 4, 4),
            Query(f"avg({named(HELD_OUT)})", ""),
        ),
        figure(
            Look("Times fewer bits", "Bits that float32 weights would have taken, over the bits sent.", "none", 4, 4),
            Query(f"{dense} / {sent}", ""),
        ),
        figure(
            Look(
                "Bits saved",
                "Bits that float32 weights would have taken in place of the masks sent, less these.",
                "bits",
                4,
                4,
            ),
            Query(
                f"{dense} - {sent}",
                "",
            ),
        ),
    ]


def _learning() -> list[Panel]:
    return [
        lines(
            Look("Held-out accuracy", "Personal accuracy of each node on data of its own that it does not train on.",
                 "percentunit", 12, 9, leads_to_node=True),
            Query(named(HELD_OUT)),
        ),
        lines(
            Look("Round", "The round that each node is in. Nodes count for themselves; slow boards are behind.",
                 "none", 6, 9, least=0, leads_to_node=True),
            Query(named("dslnode_round")),
        ),
        lines(
            Look("Rounds a minute", "Rounds that each node finishes in a minute.", "none", 6, 9, least=0),
            Query(named(f"60 * rate(dslnode_rounds_finished_total{RANGE})")),
        ),
    ]  # fmt: skip


def _communication() -> list[Panel]:
    payload = f"sum by (job, instance, kind) (rate({SENT}{RANGE}))"
    wire = f'8 * sum by (job, instance, kind) (rate({WIRE}{{direction="sent"}}{RANGE}))'
    dense = f"sum({named(f'sum by (job, instance) (rate({FLOAT32}{RANGE}))')})"
    each = f"sum by (job, instance, neighbour) (rate({SENT}{RANGE}))"
    month = f'{THIRTY_DAYS} * sum by (job, instance) (rate({WIRE}{{direction=~"sent|received"}}[1h]))'
    return [
        lines(
            Look("Sent by kind", "Bits a second that all nodes send: mask bits as coded, and all that is on the wire. "
                 "Dashed: the same masks as plain bits, and float32 weights in their place.", "bps", 12, 9, least=0),
            Query(f"sum by (kind) ({named(payload)})", "{{kind}}, coded"),
            Query(f"sum by (kind) ({named(wire)})", "{{kind}}, on the wire"),
            Query(f"{dense} / 32", "plain bits", reference=True),
            Query(dense, "float32", reference=True),
        ),
        lines(
            Look("Sent by neighbour", "Mask bits a second from each node to each of its neighbours; the ten busiest.",
                 "bps", 12, 9, least=0),
            Query(f"topk(10, {named(each)})", "{{name}} to {{neighbour}}"),
        ),
        lines(
            Look("Data plan", "Bytes on the wire, sent and received, that a node takes in thirty days at the rate of "
                 "the last hour.", "bytes", 12, 8, least=0),
            Query(named(month)),
        ),
        lines(
            Look("Refused", "Messages and conversations refused in the last five minutes, by reason.",
                 "none", 12, 8, least=0),
            Query(f"sum by (name, reason) ({named('increase(dslnode_messages_refused_total[5m])')})",
                  "{{name}}: {{reason}}"),
        ),
    ]  # fmt: skip


def _connections() -> list[Panel]:
    circle = f'label_replace({named(HELD_OUT)}, "id", "$1", "name", "(.*)")'
    nodes = f'label_replace({circle}, "title", "$1", "name", "(.*)")'
    ends = f"label_replace({named('dslnode_neighbour_agreement_ratio and dslnode_neighbour_up == 1')}, "
    ends = f'label_replace({ends}"source", "$1", "name", "(.*)"), "target", "$1", "neighbour", "(.*)")'
    edges = f'label_join({ends}, "id", " ", "source", "target")'
    return [
        graph(
            Look("Who is connected to whom", "Nodes with their held-out accuracy, and open links with the fraction of "
                 "mask bits on which the two agree.", "percentunit", 12, 14),
            nodes,
            edges,
        ),
        rows(
            Look("Links", "Every link as each of its ends sees it: whether it is open, rounds since the neighbour's "
                 "newest mask, and the fraction of mask bits on which the two agree.", "none", 12, 14),
            {
                "open": f"sum by (name, neighbour) ({named('dslnode_neighbour_up')})",
                "stale rounds": f"sum by (name, neighbour) ({named('dslnode_neighbour_staleness_rounds')})",
                "agreement": f"sum by (name, neighbour) ({named('dslnode_neighbour_agreement_ratio')})",
            },
            ["name", "neighbour"],
        ),
        lines(
            Look("Neighbours", "Open links of each node.", "none", 12, 8, least=0),
            Query(named("dslnode_neighbours_connected")),
        ),
        lines(
            Look("Staleness", "Rounds since the newest mask of the neighbour that has been silent longest arrived.",
                 "none", 12, 8, least=0),
            Query(named("max by (job, instance) (dslnode_neighbour_staleness_rounds)")),
        ),
    ]  # fmt: skip
