"""One metric: the free bytes of the disk that holds the state directory, read at each scrape."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class FreeSpace(Collector):
    """Collects ``dslnode_state_free_bytes``; nothing while the disk cannot be read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """Yield the present value."""
        try:
            free = shutil.disk_usage(self._directory).free
        except OSError:  # the disk is gone: the next save says so in the log
            return
        text = "Free bytes on the disk that holds the state directory."
        yield GaugeMetricFamily("dslnode_state_free_bytes", text, free)
