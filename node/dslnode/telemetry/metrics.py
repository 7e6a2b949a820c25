"""The Prometheus metrics of a node, on a registry of its own; parts of it register theirs beside what they measure.

Payload is counted in bits because bits are what the algorithm is judged by; the unit in the name is ``bit`` (as in
``dslnode_payload_bit_total``) since Prometheus' linter reserves the plural for bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from dslnode.telemetry.peer_status import PeerStatus
from dslnode.telemetry.score_metrics import ScoreMetrics

PHASE_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """The node's metrics; ``peers`` is called at every scrape for the status of all peers."""

    def __init__(self, peers: Callable[[], Iterable[PeerStatus]]) -> None:
        self.registry = CollectorRegistry()
        gauge, counter = partial(Gauge, registry=self.registry), partial(Counter, registry=self.registry)
        self._info = gauge("dslnode_info", "Constant 1; its labels describe the node.", ["version", "name", "run"])
        self.round = gauge("dslnode_round", "The round that the node is in.")
        self.rounds_finished = counter("dslnode_rounds_finished", "Rounds finished since process start.")
        self._phase = gauge("dslnode_phase", "1 for the phase that the node is in, 0 for the others.", ["phase"])
        self.loss = gauge("dslnode_loss", "Mean training loss of the last round.")
        self._scores = ScoreMetrics(self.registry)
        self.collaboration_weight = gauge(
            "dslnode_collaboration_weight_ratio", "How far the node relies on its neighbours, by held-out data."
        )
        self._restarts = counter("dslnode_replica_restarts", "Replicas of scores that had to be reset.")
        self._restarts_counted = 0
        self.density = gauge("dslnode_mask_density_ratio", "Fraction of weights that the mask keeps.", ["layer"])
        self.flips = gauge("dslnode_mask_flipped_ratio", "Fraction of mask bits that the last round flipped.")
        self._layer_flips = gauge(
            "dslnode_mask_layer_flipped_ratio", "Fraction of the layer's bits that the last round flipped.", ["layer"]
        )
        self.refused = counter("dslnode_messages_refused", "Messages and connections refused, by reason.", ["reason"])
        self._dial_backs = counter("dslnode_dial_backs", "Dial-backs that other nodes asked for.", ["outcome"])
        self.checkpoint_bytes = counter("dslnode_checkpoint_written_bytes", "Bytes of state written to disk.")
        self._save_failures = counter(
            "dslnode_save_failures",
            "Writes to the state directory that failed, by file: state, best or ledger.",
            ["file"],
        )
        self.calls = gauge("dslnode_calls", "Open gRPC calls that are no links: status, ledger, health, reflection.")
        self._waiting = gauge(
            "dslnode_waiting", "1 while training waits, by reason: hours, heat, battery, load.", ["reason"]
        )
        self._ticket_expiry: Gauge | None = None
        self.phase_seconds = Histogram(
            "dslnode_round_phase_seconds",
            "Duration of a round's phases.",
            ["phase"],
            buckets=PHASE_SECONDS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(_PeerCollector(peers))

    def count_dial_back(self, outcome: str) -> None:
        """Count a request to be dialled, by its outcome: reached, failed or declined."""
        self._dial_backs.labels(outcome).inc()

    def count_save_failure(self, file: str) -> None:
        """Count a write to the state directory that failed: of the ``state``, the ``best`` model or the ``ledger``."""
        self._save_failures.labels(file).inc()

    def describe(self, name: str, run: str, state: Path | None = None) -> None:
        """Set the labels of ``dslnode_info``, and measure the disk of the state directory, if there is one."""
        self._info.labels(__version__, name, run).set(1)
        if state is not None:
            self.registry.register(FreeSpace(state))
            for file in ("state", "best", "ledger"):
                self._save_failures.labels(file)

    def set_ticket_expiry(self, moment: datetime) -> None:
        """Set the end of the node's certificate; without a ticket the metric is absent."""
        if self._ticket_expiry is None:
            text = "When the certificate in the node's ticket ends, in seconds since 1970."
            self._ticket_expiry = Gauge("dslnode_certificate_expiry_timestamp_seconds", text, registry=self.registry)
        self._ticket_expiry.set(moment.timestamp())

    def set_waiting(self, reason: str) -> None:
        """Set the reason why training waits; empty if it does not."""
        self._waiting.clear()
        if reason:
            self._waiting.labels(reason).set(1)

    def set_phase(self, now: Phase) -> None:
        """Set the phase that the node is in."""
        for phase in Phase:
            self._phase.labels(phase.value).set(phase is now)

    def trained(self, trained: TrainedRound) -> None:
        """Set the results of local training."""
        self.observe_phase("train", trained.seconds)
        self.loss.set(trained.progress.loss)
        self._scores.trained(trained.progress)
        self.flips.set(trained.flipped)
        for layer, density in trained.mask.layer_densities().items():
            self.density.labels(layer).set(density)
        for layer, flipped in trained.flips.items():
            self._layer_flips.labels(layer).set(flipped)

    def aggregated(self, aggregated: AggregatedRound) -> None:
        """Set the results of aggregation; without a held-out score the last one stays."""
        self.observe_phase("aggregate", aggregated.seconds)
        self.collaboration_weight.set(aggregated.collaboration_weight)
        self._restarts.inc(aggregated.restarts - self._restarts_counted)
        self._restarts_counted = aggregated.restarts
        if aggregated.best is not None:
            self._scores.set_best(aggregated.best)
        if aggregated.held_out is not None and aggregated.alone is not None:
            self._scores.compared(aggregated.held_out.score, aggregated.alone)
        if aggregated.held_out is not None:
            self._scores.measured(aggregated.held_out)

    def observe_phase(self, phase: str, seconds: float) -> None:
        """Observe how long a part of the round took: train, exchange, aggregate or save."""
        self.phase_seconds.labels(phase).observe(seconds)


class _PeerCollector(Collector):
    """Peers come and go, so their series are made at each scrape from their present status."""

    def __init__(self, peers: Callable[[], Iterable[PeerStatus]]) -> None:
        self._peers = peers

    def collect(self) -> Iterator[Metric]:
        peers = list(self._peers())
        connected = GaugeMetricFamily("dslnode_neighbours_connected", "Neighbours with an open link.")
        connected.add_metric([], sum(peer.connected for peer in peers))
        yield connected
        yield from _mask_metrics(peers)
        yield _bans(peers)
        yield from _traffic(peers)


def _labels(peer: PeerStatus) -> list[str]:
    return [peer.name, peer.node_id]


def _mask_metrics(peers: list[PeerStatus]) -> Iterator[Metric]:
    values: dict[str, tuple[str, Callable[[PeerStatus], float | None]]] = {
        "up": ("1 while a link to the neighbour is open.", lambda peer: float(peer.connected)),
        "round": ("Round of the neighbour's newest mask, in its own counting.", lambda peer: peer.round),
        "staleness_rounds": ("Rounds since the neighbour's newest mask arrived.", lambda peer: peer.staleness),
        "agreement_ratio": (
            "Fraction of mask bits on which the neighbour and this node agree.",
            lambda peer: peer.agreement,
        ),
    }
    for name, (documentation, value_of) in values.items():
        family = GaugeMetricFamily(f"dslnode_neighbour_{name}", documentation, labels=["neighbour", "node_id"])
        for peer in peers:
            value = value_of(peer)
            if value is not None:
                family.add_metric(_labels(peer), value)
        yield family


def _bans(peers: list[PeerStatus]) -> GaugeMetricFamily:
    documentation = "1 while a neighbour is banned, by the violation that it is banned for."
    family = GaugeMetricFamily("dslnode_peer_banned", documentation, labels=["neighbour", "node_id", "reason"])
    for peer in peers:
        if peer.ban_reason:
            family.add_metric([*_labels(peer), peer.ban_reason], 1)
    return family


def _traffic(peers: list[PeerStatus]) -> Iterator[Metric]:
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
    for peer in peers:
        float32.add_metric(_labels(peer), peer.float32_bits_sent)
        for direction, flow in (("sent", peer.traffic.sent), ("received", peer.traffic.received)):
            payload.add_metric([*_labels(peer), direction, "mask"], flow.payload_bits)
            wire.add_metric([*_labels(peer), direction, "mask"], flow.mask_bytes)
            wire.add_metric([*_labels(peer), direction, "control"], flow.overhead_bytes)
    yield payload
    yield wire
    yield float32
