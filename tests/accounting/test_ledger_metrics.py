"""Metrics of the ledger and the data plan, as Prometheus reads them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from dslnode.accounting.exchange_pacing import Usage
from dslnode.accounting.ledger import Amounts, Direction, Row
from dslnode.accounting.ledger_metrics import LedgerCollector
from dslnode.config.quantities import CapPeriod, DataCap

CAPPED = Usage(10, 20, DataCap(1_000, CapPeriod.MONTH), 300, 900, 7, 12.5, 0.25)
TOTALS: dict[Row, Amounts] = {("ab", Direction.SENT): Amounts(sign_bits=80, sign_framing=4, transport=5)}


def registry(totals: dict[Row, Amounts], usage: Usage) -> CollectorRegistry:
    registered = CollectorRegistry()
    registered.register(LedgerCollector(lambda: totals, lambda key: f"board-{key}", lambda: usage))
    return registered


def sample(registered: CollectorRegistry, kind: str) -> float | None:
    labels = {"neighbour": "board-ab", "node_id": "ab", "direction": "sent", "kind": kind}
    return registered.get_sample_value("dslnode_ledger_bytes_total", labels)


def test_every_kind_has_its_counter_and_they_add_up() -> None:
    registered = registry(TOTALS, CAPPED)
    kinds = (
        "keep_payload",
        "sign_payload",
        "keep_framing",
        "sign_framing",
        "control",
        "resent",
        "transport",
        "unsaved",
    )
    assert [sample(registered, kind) for kind in kinds] == [0, 10, 0, 4, 0, 0, 5, 0]
    assert sum(sample(registered, kind) or 0 for kind in kinds) == TOTALS["ab", Direction.SENT].total


def test_counters_never_go_down() -> None:
    totals = dict(TOTALS)
    registered = registry(totals, CAPPED)
    seen = []
    for transport in (5, 900, 20, 950):
        totals["ab", Direction.SENT] = Amounts(transport=transport)
        seen.append(sample(registered, "transport"))
    assert seen == [5, 900, 900, 950]


def test_cap_usage_forecast_and_skipped_exchanges_are_metrics() -> None:
    registered = registry({}, CAPPED)
    values = [
        registered.get_sample_value(f"dslnode_data_{name}_bytes", {"period": "month"}) for name in ("cap", "used")
    ]
    assert values == [1_000, 300]
    assert registered.get_sample_value("dslnode_data_period_elapsed_ratio", {"period": "month"}) == 0.25
    assert registered.get_sample_value("dslnode_data_forecast_bytes", {"period": "month"}) == 900
    assert registered.get_sample_value("dslnode_exchanges_skipped_total") == 7
    assert registered.get_sample_value("dslnode_exchange_interval_seconds") == 12.5


def test_without_a_cap_there_is_none_to_show() -> None:
    registered = registry({}, Usage(10, 20, None, 20, 900, 0, 0.0, 0.5))
    assert registered.get_sample_value("dslnode_data_used_bytes", {"period": "day"}) == 20
    assert "dslnode_data_cap_bytes" not in generate_latest(registered).decode()


@pytest.mark.process
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_prometheus_own_linter_has_nothing_to_say() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=generate_latest(registry(TOTALS, CAPPED)),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
