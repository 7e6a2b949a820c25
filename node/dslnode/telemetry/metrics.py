"""Every Prometheus metric of a node, defined in one place, on a registry of its own.

Payload is counted in bits because bits are what the algorithm is judged by; the unit in the name is ``bit`` (as in
``dslnode_payload_bit_total``) since Prometheus' linter reserves the plural for bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from dslnode import __version__
from dslnode.learning.results import AggregatedRound, TrainedRound
from dslnode.protocol.events import Phase
from dslnode.telemetry.disk_metrics import FreeSpace

PHASE_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


@dataclass(frozen=True)
class PeerStatus:
    """What is known of one neighbour at the moment of a scrape. Bits and bytes count from the node's first start."""

    name: str
    node_id: str
    address: str
    connected: bool
    round: int | None = None
    staleness: int | None = None
    agreement: float | None = None
    float32_bits_sent: int = 0
    payload_bits_sent: int = 0
    payload_bits_received: int = 0
    mask_bytes_sent: int = 0
    mask_bytes_received: int = 0
    wire_bytes_sent: int = 0
    wire_bytes_received: int = 0
    problem: str = ""
    shut_out: str = ""  # for which offence


class Metrics:
    """The node's metrics; ``neighbours`` is asked at every scrape for the neighbours' figures."""

    def __init__(self, neighbours: Callable[[], Iterable[PeerStatus]]) -> None:
        self.registry = CollectorRegistry()
        gauge, counter = partial(Gauge, registry=self.registry), partial(Counter, registry=self.registry)
        self._info = gauge("dslnode_info", "Constant 1; its labels describe the node.", ["version", "name", "run"])
        self.round = gauge("dslnode_round", "The round that the node is in.")
        self.rounds_finished = counter("dslnode_rounds_finished", "Rounds finished since process start.")
        self._phase = gauge("dslnode_phase", "1 for the phase that the node is in, 0 for the others.", ["phase"])
        self.loss = gauge("dslnode_loss", "Mean training loss of the last round.")
        self.accuracy = gauge("dslnode_accuracy_ratio", "Personal accuracy by data: train or held_out.", ["data"])
        self.collaboration_weight = gauge(
            "dslnode_leaning_ratio", "How far the node leans on its neighbours, by held-out data."
        )
        self._restarts = counter("dslnode_replica_restarts", "Replicas of scores that had to begin anew.")
        self._restarts_told = 0
        self.density = gauge("dslnode_mask_density_ratio", "Fraction of weights that the mask keeps.", ["layer"])
        self.flips = gauge("dslnode_mask_flipped_ratio", "Fraction of mask bits that the last round flipped.")
        self._layer_flips = gauge(
            "dslnode_mask_layer_flipped_ratio", "Fraction of the layer's bits that the last round flipped.", ["layer"]
        )
        self.refused = counter("dslnode_messages_refused", "Messages and conversations refused, by reason.", ["reason"])
        self._dial_backs = counter("dslnode_dial_backs", "Connections back that others asked for.", ["outcome"])
        self.checkpoint_bytes = counter("dslnode_checkpoint_written_bytes", "Bytes of state written to disk.")
        self._waiting = gauge(
            "dslnode_waiting", "1 while training waits, by what for: hours, heat, battery, load.", ["reason"]
        )
        self._ticket_ends: Gauge | None = None
        self.phase_seconds = Histogram(
            "dslnode_round_phase_seconds",
            "Duration of a round's phases.",
            ["phase"],
            buckets=PHASE_SECONDS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(_NeighbourCollector(neighbours))

    def dialled_back(self, outcome: str) -> None:
        """Count that somebody asked to be dialled: reached, failed or declined."""
        self._dial_backs.labels(outcome).inc()

    def describe(self, name: str, run: str, state: Path | None = None) -> None:
        """Set the labels that say which node this is, and watch the disk of its state directory, if it has one."""
        self._info.labels(__version__, name, run).set(1)
        if state is not None:
            self.registry.register(FreeSpace(state))

    def ticket_ends(self, moment: datetime) -> None:
        """Set the end of the node's certificate; without a ticket there is no such metric."""
        if self._ticket_ends is None:
            text = "When the certificate in the node's ticket ends, in seconds since 1970."
            self._ticket_ends = Gauge("dslnode_certificate_expiry_timestamp_seconds", text, registry=self.registry)
        self._ticket_ends.set(moment.timestamp())

    def waiting(self, reason: str) -> None:
        """Mark what training waits for; empty: for nothing."""
        self._waiting.clear()
        if reason:
            self._waiting.labels(reason).set(1)

    def phase(self, now: Phase) -> None:
        """Mark the phase that the node is in."""
        for phase in Phase:
            self._phase.labels(phase.value).set(phase is now)

    def trained(self, trained: TrainedRound) -> None:
        """Set what local training gave."""
        self.took("train", trained.seconds)
        self.loss.set(trained.progress.loss)
        self.accuracy.labels("train").set(trained.progress.accuracy)
        self.flips.set(trained.flipped)
        for layer, density in trained.mask.layer_densities().items():
            self.density.labels(layer).set(density)
        for layer, flipped in trained.flips.items():
            self._layer_flips.labels(layer).set(flipped)

    def aggregated(self, aggregated: AggregatedRound) -> None:
        """Set what aggregation gave; a missing held-out accuracy leaves the last one standing."""
        self.took("aggregate", aggregated.seconds)
        self.collaboration_weight.set(aggregated.collaboration_weight)
        self._restarts.inc(aggregated.restarts - self._restarts_told)
        self._restarts_told = aggregated.restarts
        if aggregated.held_out is not None:
            self.accuracy.labels("held_out").set(aggregated.held_out)

    def took(self, phase: str, seconds: float) -> None:
        """Observe how long a part of the round took: train, exchange, aggregate or save."""
        self.phase_seconds.labels(phase).observe(seconds)


class _NeighbourCollector(Collector):
    """Neighbours come and go, so their series are made at each scrape from what is known then."""

    def __init__(self, neighbours: Callable[[], Iterable[PeerStatus]]) -> None:
        self._neighbours = neighbours

    def collect(self) -> Iterator[Metric]:
        figures = list(self._neighbours())
        connected = GaugeMetricFamily("dslnode_neighbours_connected", "Neighbours with an open link.")
        connected.add_metric([], sum(neighbour.connected for neighbour in figures))
        yield connected
        yield from _per_neighbour(figures)
        yield _quarantined(figures)
        yield from _traffic(figures)


def _labels(neighbour: PeerStatus) -> list[str]:
    return [neighbour.name, neighbour.node_id]


def _per_neighbour(figures: list[PeerStatus]) -> Iterator[Metric]:
    documentation = {
        "up": "1 while a link to the neighbour is open.",
        "round": "Round of the neighbour's newest mask, in its own counting.",
        "staleness_rounds": "Rounds since the neighbour's newest mask arrived.",
        "agreement_ratio": "Fraction of mask bits on which the neighbour and this node agree.",
    }
    for name, text in documentation.items():
        family = GaugeMetricFamily(f"dslnode_neighbour_{name}", text, labels=["neighbour", "node_id"])
        for neighbour in figures:
            value = {
                "up": float(neighbour.connected),
                "round": neighbour.round,
                "staleness_rounds": neighbour.staleness,
                "agreement_ratio": neighbour.agreement,
            }[name]
            if value is not None:
                family.add_metric(_labels(neighbour), value)
        yield family


def _quarantined(figures: list[PeerStatus]) -> GaugeMetricFamily:
    text = "1 while no conversation is held with a neighbour that broke the rules, by its last offence."
    family = GaugeMetricFamily("dslnode_quarantined", text, labels=["neighbour", "node_id", "reason"])
    for neighbour in figures:
        if neighbour.shut_out:
            family.add_metric([*_labels(neighbour), neighbour.shut_out], 1)
    return family


def _traffic(figures: list[PeerStatus]) -> Iterator[Metric]:
    labels = ["neighbour", "node_id", "direction", "kind"]
    payload = CounterMetricFamily(
        "dslnode_payload_bit", "Mask bits as coded, without headers and framing.", labels=labels
    )
    wire = CounterMetricFamily(
        "dslnode_wire_bytes",
        "Bytes on the wire with TCP and IP headers; kind control is all that is not masks.",
        labels=labels,
    )
    float32 = CounterMetricFamily(
        "dslnode_float32_equivalent_bit",
        "Bits that sending 32-bit floats in place of the masks sent would have taken.",
        labels=["neighbour", "node_id"],
    )
    for n in figures:
        float32.add_metric(_labels(n), n.float32_bits_sent)
        payload.add_metric([*_labels(n), "sent", "mask"], n.payload_bits_sent)
        payload.add_metric([*_labels(n), "received", "mask"], n.payload_bits_received)
        wire.add_metric([*_labels(n), "sent", "mask"], n.mask_bytes_sent)
        wire.add_metric([*_labels(n), "received", "mask"], n.mask_bytes_received)
        wire.add_metric([*_labels(n), "sent", "control"], n.wire_bytes_sent - n.mask_bytes_sent)
        wire.add_metric([*_labels(n), "received", "control"], n.wire_bytes_received - n.mask_bytes_received)
    yield payload
    yield wire
    yield float32
