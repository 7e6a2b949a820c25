"""The dashboard *Node*: everything about one board."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.dashboards import layout
from deploy.dashboards.panels import (
    HELD_OUT,
    LEDGER,
    RANGE,
    Panel,
    Query,
    Spec,
    bars,
    figure,
    ledger,
    lines,
    named,
    timeline,
)

PHASES = "dslnode_round_phase_seconds"


def node() -> Dashboard:
    """Return the dashboard."""
    made = layout.new(
        layout.NODE,
        "dslnode node",
        "One board: its rounds, its mask, its neighbours, its traffic and what it takes of the machine.",
        one_node=True,
    )
    layout.add(made, "At a glance", _at_a_glance())
    layout.add(made, "Rounds", _rounds())
    layout.add(made, "Mask", _mask())
    layout.add(made, "Neighbours", _neighbours())
    layout.add(made, "Traffic", _traffic())
    layout.add(made, "Data plan", _plan())
    layout.add(made, "Who is refused", _refusals())
    layout.add(made, "Predictions", _predictions())
    layout.add(made, "Machine", _machine())
    return made


def _at_a_glance() -> list[Panel]:
    return [
        figure(Spec("Round", "The round that the node is in.", "none", 4, 4), Query(named("dslnode_round"))),
        figure(
            Spec("Score", "Held-out score on the node's own data, higher is better.", "none", 4, 4),
            Query(named(HELD_OUT)),
        ),
        figure(
            Spec("Neighbours", "Open links.", "none", 4, 4, good=1), Query(named("dslnode_neighbours_connected"))
        ),
        figure(
            Spec("Running for", "Time since the process started.", "s", 4, 4),
            Query(named("time() - process_start_time_seconds")),
            trend=False,
        ),
        figure(Spec("Memory", "Resident memory of the process.", "bytes", 4, 4),
               Query(named("process_resident_memory_bytes"))),
        figure(
            Spec("State written", "Bytes of state written to disk in the last hour.", "bytes", 4, 4),
            Query(named("increase(dslnode_checkpoint_written_bytes_total[1h])")),
        ),
    ]  # fmt: skip


def _rounds() -> list[Panel]:
    mean = f"rate({PHASES}_sum{RANGE}) / rate({PHASES}_count{RANGE})"
    slow = f"histogram_quantile(0.95, sum by (job, instance, phase, le) (rate({PHASES}_bucket{RANGE})))"
    return [
        timeline(
            Spec("Phase", "What the node is doing: a band is coloured while it is in that phase.", "none", 24, 6),
            Query(named("dslnode_phase"), "{{phase}}"),
        ),
        lines(
            Spec("Where a round's time goes", "Mean seconds of a round's phases, one on the other.",
                 "s", 12, minimum=0),
            Query(named(mean), "{{phase}}"),
            stacked=True,
        ),
        lines(
            Spec("Slowest rounds", "Seconds that 95 % of the rounds stay under, by phase; read off buckets that are "
                 "three times as wide each.", "s", 12, minimum=0),
            Query(named(slow), "{{phase}}"),
        ),
        lines(
            Spec("Score", "Score on the data that the node trains on, and on the data held out, higher is better; "
                 "what simple predictors reach; how far the node relies on its neighbours (less while they make its "
                 "model worse).", "none", 12),
            Query(named("dslnode_score"), "{{data}}"),
            Query(named("dslnode_baseline_score"), "{{baseline}}", reference=True),
            Query(named("dslnode_best_score"), "best"),
            Query(named("dslnode_alone_score"), "without neighbours"),
            Query(named("dslnode_collaboration_weight_ratio"), "collaboration weight"),
        ),
        bars(
            Spec("Classes found", "Part of each class's held-out examples that is answered right.", "percentunit", 12,
                 minimum=0, maximum=1),
            Query(named("dslnode_class_recall_ratio"), "{{class}}"),
        ),
        lines(
            Spec("Figures", "Errors and other figures about the held-out answers.", "none", 12),
            Query(named("dslnode_held_out"), "{{figure}} {{unit}}"),
        ),
        lines(
            Spec("Loss", "Mean training loss of the last round.", "none", 12, minimum=0),
            Query(named("dslnode_loss"), "loss"),
        ),
    ]  # fmt: skip


def _mask() -> list[Panel]:
    return [
        bars(
            Spec("Density by layer", "Fraction of each layer's weights that the mask keeps.", "percentunit", 8,
                 minimum=0, maximum=1),
            Query(named("dslnode_mask_density_ratio"), "{{layer}}"),
        ),
        lines(
            Spec("Density over time", "Fraction of each layer's weights that the mask keeps.", "percentunit", 8,
                 minimum=0),
            Query(named("dslnode_mask_density_ratio"), "{{layer}}"),
        ),
        lines(
            Spec("Flips by layer", "Fraction of each layer's mask bits that the last round flipped; it falls as the "
                 "mask settles. Dashed: of all bits.", "percentunit", 8, minimum=0),
            Query(named("dslnode_mask_layer_flipped_ratio"), "{{layer}}"),
            Query(named("dslnode_mask_flipped_ratio"), "all", reference=True),
        ),
    ]  # fmt: skip


def _neighbours() -> list[Panel]:
    return [
        lines(
            Spec("Agreement", "Fraction of mask bits on which each neighbour and the node agree. Two random masks of "
                 "density d agree on d² + (1 - d)².", "percentunit", 8),
            Query(named("dslnode_neighbour_agreement_ratio"), "{{neighbour}}"),
        ),
        lines(
            Spec("Staleness", "Rounds since each neighbour's newest mask arrived.", "none", 8, minimum=0),
            Query(named("dslnode_neighbour_staleness_rounds"), "{{neighbour}}"),
        ),
        lines(
            Spec("Their rounds", "Round of each neighbour's newest mask, in its own counting.", "none", 8, minimum=0),
            Query(named("dslnode_neighbour_round"), "{{neighbour}}"),
        ),
        timeline(
            Spec("Links", "When the link to each neighbour was open (1) and when not (0).", "none", 24, 6),
            Query(named("dslnode_neighbour_up"), "{{neighbour}}"),
        ),
    ]  # fmt: skip


def _traffic() -> list[Panel]:
    payload = f"sum by (job, instance, neighbour, direction) (rate(dslnode_payload_bit_total{RANGE}))"
    wire = f"8 * sum by (job, instance, kind, direction) (rate({LEDGER}{RANGE}))"
    return [
        lines(
            Spec("Mask bits by neighbour", "Mask bits a second, as coded.", "bps", 12, minimum=0),
            Query(named(payload), "{{neighbour}} {{direction}}"),
        ),
        lines(
            Spec("On the wire by kind", "Bits a second: masks as coded (payload), what frames them, control messages, "
                 "what TCP sent again, and transport (TLS, HTTP/2, TCP and IP).", "bps", 12, logarithmic=True),
            Query(f"{named(wire)} > 0", "{{kind}} {{direction}}"),
        ),
        ledger(
            Spec("Ledger", "Bytes on the wire by neighbour and direction since the node's first start; others are "
                 "strangers, refused handshakes and questions from elsewhere.", "bytes", 24, 9),
            "neighbour",
        ),
    ]  # fmt: skip


def _plan() -> list[Panel]:
    return [
        lines(
            Spec("Data plan", "Bytes of both directions used in the present period, and expected for all of it. "
                 "Dashed: the cap. Without one the period is the day.", "bytes", 12, minimum=0),
            Query(named("dslnode_data_used_bytes"), "used this {{period}}"),
            Query(named("dslnode_data_forecast_bytes"), "forecast"),
            Query(named("dslnode_data_cap_bytes"), "cap", reference=True),
        ),
        lines(
            Spec("Between exchanges", "Seconds between exchanges with one neighbour for the data plan; 0 is every "
                 "round.", "s", 6, minimum=0),
            Query(named("dslnode_exchange_interval_seconds"), "interval"),
        ),
        lines(
            Spec("Masks not sent", "Masks a minute that were not sent, for a data cap here or at the neighbour.",
                 "none", 6, minimum=0),
            Query(named(f"60 * rate(dslnode_exchanges_skipped_total{RANGE})"), "skipped"),
        ),
    ]  # fmt: skip


def _refusals() -> list[Panel]:
    return [
        lines(
            Spec("Refused", "Messages and connections refused in the last five minutes, by reason.", "none", 12,
                 minimum=0),
            Query(named("increase(dslnode_messages_refused_total[5m])"), "{{reason}}"),
        ),
        timeline(
            Spec("Bans", "Neighbours that the node has banned, by violation: a band while it lasts.", "none", 12,
                 empty="nobody"),
            Query(named("dslnode_peer_banned"), "{{neighbour}}: {{reason}}"),
        ),
    ]  # fmt: skip


def _predictions() -> list[Panel]:
    buckets = f"sum by (job, instance, le) (rate(dslnode_predict_seconds_bucket{RANGE}))"
    return [
        lines(
            Spec("Requests", "Requests per second to the node's server of predictions, by HTTP status. Empty without "
                 "--serve.", "none", 8, minimum=0),
            Query(named(f"sum by (job, instance, status) (rate(dslnode_predict_requests_total{RANGE}))"), "{{status}}"),
        ),
        lines(
            Spec("Latency", "Time from a whole request to its answer: half of the requests, and 99 % of them, take "
                 "less.", "s", 8, minimum=0),
            Query(named(f"histogram_quantile(0.5, {buckets})"), "half"),
            Query(named(f"histogram_quantile(0.99, {buckets})"), "99 %"),
        ),
        lines(
            Spec("Answers", "Part of the answers that each class has. A share that shifts may mean that the data have "
                 "changed.", "percentunit", 8, minimum=0, maximum=1),
            Query(
                named(
                    f"rate(dslnode_predict_answers_total{RANGE}) / ignoring (class) group_left "
                    f"sum without (class) (rate(dslnode_predict_answers_total{RANGE}))"
                ),
                "{{class}}",
            ),
            stacked=True,
        ),
    ]  # fmt: skip


def _machine() -> list[Panel]:
    return [
        lines(
            Spec("Processor", "Processors in use by the node: 1 is one core, all of it.", "none", 8, minimum=0),
            Query(named(f"rate(process_cpu_seconds_total{RANGE})"), "in use"),
        ),
        lines(
            Spec("Memory", "Resident and virtual memory of the process.", "bytes", 8, minimum=0),
            Query(named("process_resident_memory_bytes"), "resident"),
        ),
        lines(
            Spec("Checkpoints", "Bytes of state written a second; flash wears with what is written.", "Bps", 8,
                 minimum=0),
            Query(named(f"rate(dslnode_checkpoint_written_bytes_total{RANGE})"), "written"),
        ),
        lines(
            Spec("Open files", "File descriptors in use, and how many the system allows.", "none", 8, minimum=0),
            Query(named("process_open_fds"), "open"),
            Query(named("process_max_fds"), "allowed", reference=True),
        ),
        lines(
            Spec("Free for state", "Free bytes on the disk that holds the state directory.", "bytes", 8, minimum=0),
            Query(named("dslnode_state_free_bytes"), "free"),
        ),
        lines(
            Spec("Ticket", "Time until the certificate in the node's ticket ends.", "s", 8, minimum=0),
            Query(named("dslnode_certificate_expiry_timestamp_seconds - time()"), "left"),
        ),
    ]  # fmt: skip
