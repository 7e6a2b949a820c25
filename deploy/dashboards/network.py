"""The dashboard *Network*: all nodes of a run at a glance, what they exchange, and which links are open."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.dashboards import layout
from deploy.dashboards.links import connections
from deploy.dashboards.panels import (
    ALONE,
    HELD_OUT,
    LEDGER,
    RANGE,
    WHICH,
    Panel,
    Query,
    Spec,
    figure,
    ledger,
    lines,
    named,
    timeline,
)

SENT = 'dslnode_payload_bit_total{direction="sent"}'
MISSED = 'dslnode_members{state="known"} - ignoring (state) dslnode_members{state="reachable"}'
FLOAT32 = "dslnode_float32_equivalent_bit_total"


def network() -> Dashboard:
    """Return the dashboard."""
    made = layout.new(
        layout.NETWORK,
        "dslnode network",
        "All nodes of a run: what they learn, what it costs, and which links are open.",
        one_node=False,
    )
    layout.add(made, "At a glance", [*_at_a_glance(), *_at_risk()])
    layout.add(made, "Learning", _learning())
    layout.add(made, "Communication", _communication())
    layout.add(made, "What it costs", _costs())
    layout.add(made, "Connections", connections())
    layout.add(made, "Who is refused", _refusals())
    return made


def _at_a_glance() -> list[Panel]:
    dense, sent = (f"sum({named(f'sum by (job, instance) ({what})')})" for what in (FLOAT32, SENT))
    return [
        figure(Spec("Nodes", "Nodes that Prometheus reaches now.", "none", 4, 4), Query(f"count({WHICH})", "")),
        figure(
            Spec(
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
            Spec(
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
            Spec("Mean score", "Held-out score, the mean of all nodes. Accuracies and R2 are at most 1.", "none", 4, 4),
            Query(f"avg({named(HELD_OUT)})", ""),
        ),
        figure(
            Spec("Times fewer bits", "Bits that float32 weights would have taken, over the bits sent.", "none", 4, 4),
            Query(f"{dense} / {sent}", ""),
        ),
        figure(
            Spec(
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


def _at_risk() -> list[Panel]:
    ticket = f"min({named('dslnode_certificate_expiry_timestamp_seconds')}) - time()"
    return [
        figure(
            Spec("Banned", "Links on which a node has banned a neighbour that broke the rules.", "none", 4, 4,
                 warning=1, empty="0"),
            Query(f"count({named('dslnode_peer_banned')})", ""),
        ),
        figure(
            Spec("Out of reach", "Nodes that others know of and cannot reach, by the node that misses most.", "none",
                 4, 4, warning=1),
            Query(f"max({named(MISSED)})", ""),
        ),
        figure(
            Spec("Data plan used", "Part of its data cap that the node which has used most has used in its period.",
                 "percentunit", 4, 4, warning=0.9, empty="no cap"),
            Query(f"max({named('dslnode_data_used_bytes / dslnode_data_cap_bytes')})", ""),
        ),
        figure(
            Spec("First ticket ends in", "Time until the first of the nodes' certificates ends.", "s", 4, 4,
                 good=14 * 86_400, empty="no tickets"),
            Query(ticket, ""),
            trend=False,
        ),
        figure(
            Spec("Least disk", "Free bytes on the disk of the node that has least of them for its state.", "bytes", 4,
                 4, good=200e6, empty="no state"),
            Query(f"min({named('dslnode_state_free_bytes')})", ""),
        ),
        figure(
            Spec("State written a day", "Bytes of state that all nodes write in a day at the rate of the last hour.",
                 "bytes", 4, 4),
            Query(f"86400 * sum({named('rate(dslnode_checkpoint_written_bytes_total[1h])')})", ""),
        ),
    ]  # fmt: skip


def _learning() -> list[Panel]:
    return [
        lines(
            Spec("Held-out score", "Score of each node on data of its own that it does not train on, higher is better. "
                 "Dashed: nodes that learn alone, which are those of a run named like this one with -alone at its end.",
                 "none", 12, 9, leads_to_node=True),
            Query(named(HELD_OUT)),
            Query(named(HELD_OUT, ALONE), "{{name}} alone", reference=True),
        ),
        lines(
            Spec("Round", "The round that each node is in. Nodes count for themselves; slow boards are behind.",
                 "none", 6, 9, minimum=0, leads_to_node=True),
            Query(named("dslnode_round")),
        ),
        lines(
            Spec("Rounds a minute", "Rounds that each node finishes in a minute.", "none", 6, 9, minimum=0),
            Query(named(f"60 * rate(dslnode_rounds_finished_total{RANGE})")),
        ),
    ]  # fmt: skip


def _communication() -> list[Panel]:
    kinds = f'8 * sum by (job, instance, kind) (rate({LEDGER}{{direction="sent"}}{RANGE}))'
    dense = f"sum({named(f'sum by (job, instance) (rate({FLOAT32}{RANGE}))')})"
    each = f"sum by (job, instance, neighbour) (rate({SENT}{RANGE}))"
    link = f"avg({named(f'sum by (job, instance, neighbour) (rate({FLOAT32}{RANGE}))')} > 0)"
    return [
        lines(
            Spec("Sent by kind", "Bits a second on the wire that all nodes send: masks as coded (payload), what frames "
                 "them, control messages, what TCP sent again, and transport (TLS, HTTP/2, TCP and IP). Dashed: the "
                 "masks sent as plain bits, and float32 weights in their place.", "bps", 12, 9, logarithmic=True),
            Query(f"sum by (kind) ({named(kinds)}) > 0", "{{kind}}"),
            Query(f"{dense} / 32", "plain bits", reference=True),
            Query(dense, "float32", reference=True),
        ),
        lines(
            Spec("Sent by neighbour", "Mask bits a second from each node to each of its neighbours; the ten busiest. "
                 "Dashed: the mean link's masks as plain bits, and float32 weights in their place.",
                 "bps", 12, 9, logarithmic=True),
            Query(f"topk(10, {named(each)})", "{{name}} to {{neighbour}}"),
            Query(f"{link} / 32", "plain bits", reference=True),
            Query(link, "float32", reference=True),
        ),
    ]  # fmt: skip


def _costs() -> list[Panel]:
    return [
        lines(
            Spec("Data plan forecast", "Bytes of both directions that the present period is expected to cost each "
                 "node, by what it moved since its start: the period of its cap, or the day. Dashed: the cap.",
                 "bytes", 12, 8, minimum=0, leads_to_node=True),
            Query(named("dslnode_data_forecast_bytes"), "{{name}} a {{period}}"),
            Query(named("dslnode_data_cap_bytes"), "{{name}}: cap a {{period}}", reference=True),
        ),
        ledger(
            Spec("Ledger", "Bytes on the wire by node, sent and received, since its first start: masks as coded, what "
                 "frames them, control messages, what TCP sent again, and transport (TLS, HTTP/2, TCP, IP).",
                 "bytes", 12, 8),
            "name",
        ),
    ]  # fmt: skip


def _refusals() -> list[Panel]:
    return [
        lines(
            Spec("Refused", "Messages and connections refused in the last five minutes, by reason.",
                 "none", 12, 8, minimum=0),
            Query(f"sum by (name, reason) ({named('increase(dslnode_messages_refused_total[5m])')})",
                  "{{name}}: {{reason}}"),
        ),
        timeline(
            Spec("Bans", "Bans of neighbours by other nodes and by violation: a band while it lasts.", "none", 12, 8,
                 empty="nobody"),
            Query(named("dslnode_peer_banned"), "{{name}} has banned {{neighbour}}: {{reason}}"),
        ),
    ]  # fmt: skip
