"""Free bytes for state, as a scrape sees them."""

from __future__ import annotations

import shutil
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from dslnode.telemetry.disk_metrics import FreeSpace


def scraped(directory: Path) -> str:
    registry = CollectorRegistry()
    registry.register(FreeSpace(directory))
    return generate_latest(registry).decode()


def test_the_free_bytes_of_the_state_directory_are_a_metric(tmp_path: Path) -> None:
    value = float(scraped(tmp_path).rpartition(" ")[2])
    usage = shutil.disk_usage(tmp_path)
    assert 0 < value <= usage.total
    assert "# TYPE dslnode_state_free_bytes gauge" in scraped(tmp_path)


def test_a_disk_that_is_gone_has_no_sample(tmp_path: Path) -> None:
    assert scraped(tmp_path / "gone") == ""
