"""A simulation on a cluster of two Ray nodes finds what it finds in one process, also if one of them is lost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from dslnode.errors import SettingsError, UnreachableError
from dslnode.simulation.ray_cluster import QUIET, connect
from dslnode.simulation.ray_shards import RayShards
from tests.simulation.networks import finished, simulation

GIVEN: dict[str, Any] = {
    "nodes": 8,
    "topology": "erdos:4",
    "exchange": "both",
    "churn": 0.2,
    "hostile": "0.2:loud",
    "speed_sigma": 0.5,
    "keep_ratio": "0.2..0.6",
    "rounds": 6,
    "link": "1Mbit/s,20ms,1%",
}
STORE_BYTES = 100 << 20


class TwoMachines:
    """A cluster of two Ray nodes on this machine, each with one processor."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False},
        )
        self.second = self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)

    def lose_the_second(self) -> None:
        """End it as a machine ends that loses its power."""
        self.cluster.remove_node(self.second, allow_graceful=False)


class Counted(RayShards):
    """Shards that count how often they were put back."""

    restored = 0

    def restore(self) -> None:
        super().restore()
        self.restored += 1


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoMachines]:
    pytest.importorskip("ray")
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    two = TwoMachines()
    yield two
    two.cluster.shutdown()


def test_two_machines_find_what_one_process_finds_also_if_one_is_lost(machines: TwoMachines) -> None:
    whole = finished(**GIVEN)
    parted = simulation(engine=partial(Counted, address=machines.cluster.address), save_every=2, **GIVEN)
    try:
        is_lost = False
        for finished_rounds in parted.run():
            if finished_rounds >= len(whole.records) * 2 // 3 and not is_lost:
                is_lost = True
                machines.lose_the_second()
        assert isinstance(parted.shards, Counted)
        assert parted.shards.restored
        assert parted.records == whole.records
        assert parted.incidents == whole.incidents
        assert parted.weights == whole.weights
    finally:
        parted.close()


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(SettingsError, match=r"pip install 'dslnode\[ray\]'"):
        connect("local", store_bytes=STORE_BYTES)


def test_a_cluster_that_does_not_answer_is_named() -> None:
    pytest.importorskip("ray")
    with pytest.raises(UnreachableError, match=r"--ray-address 127.0.0.1:1: nothing answers there .*ray start --head"):
        connect("127.0.0.1:1", store_bytes=STORE_BYTES)
    with pytest.raises(SettingsError, match="neither HOST:PORT nor local"):
        connect("somewhere", store_bytes=STORE_BYTES)
