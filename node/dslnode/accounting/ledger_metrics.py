"""Prometheus metrics of the ledger and the data plan, made at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dslnode.accounting.exchange_pacing import Usage
from dslnode.accounting.ledger import KINDS, Amounts, Direction, Row

BYTES = tuple(kind for kind in KINDS if not kind.endswith("_bits"))


class LedgerCollector(Collector):
    """Asks at every scrape for traffic totals (since the node's first start), neighbours' names, and usage."""

    def __init__(
        self,
        totals: Callable[[], Mapping[Row, Amounts]],
        name_of: Callable[[str], str],
        usage: Callable[[], Usage],
    ) -> None:
        self._totals = totals
        self._name_of = name_of
        self._usage = usage
        self._reported: dict[Row, Amounts] = {}  # counters never go down

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        yield from self._traffic()
        yield from _usage(self._usage())

    def _traffic(self) -> Iterator[Metric]:
        labels = ["neighbour", "node_id", "direction", "kind"]
        family = CounterMetricFamily(
            "dslnode_ledger_bytes",
            "Bytes on the wire with IP headers, by kind; the kinds add up to all that crossed the wire.",
            labels=labels,
        )
        self._reported = {row: self._reported.get(row, now).maximum(now) for row, now in self._totals().items()}
        for (neighbour, direction), amounts in self._reported.items():
            labels_of_row = [self._name_of(neighbour), neighbour, str(Direction(direction))]
            for kind in BYTES:
                family.add_metric([*labels_of_row, kind], getattr(amounts, kind))
            family.add_metric([*labels_of_row, "keep_payload"], amounts.keep_bits / 8)
            family.add_metric([*labels_of_row, "sign_payload"], amounts.sign_bits / 8)
        yield family


def _usage(usage: Usage) -> Iterator[Metric]:
    period = str(usage.period)
    gauges: dict[str, tuple[str, int | None]] = {
        "used_bytes": ("Bytes sent and received in the present period.", usage.used_bytes),
        "forecast_bytes": ("Bytes that the present period is expected to cost.", usage.forecast_bytes),
    }
    if usage.cap is not None:
        gauges["cap_bytes"] = ("Bytes that the data plan allows in a period.", usage.cap.max_bytes)
    for name, (text, value) in gauges.items():
        family = GaugeMetricFamily(f"dslnode_data_{name}", text, labels=["period"])
        if value is not None:
            family.add_metric([period], value)
        yield family
    elapsed = GaugeMetricFamily(
        "dslnode_data_period_elapsed_ratio", "Part of the period that is over.", labels=["period"]
    )
    elapsed.add_metric([period], usage.elapsed_fraction)
    yield elapsed
    yield GaugeMetricFamily(
        "dslnode_exchange_interval_seconds",
        "Seconds between exchanges with a neighbour; 0: every round.",
        usage.interval_seconds,
    )
    yield CounterMetricFamily(
        "dslnode_exchanges_skipped", "Masks not sent, for a data cap here or at the neighbour.", usage.exchanges_skipped
    )
