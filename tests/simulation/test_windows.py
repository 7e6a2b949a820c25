"""What a simulation finds does not depend on how many shards its nodes are dealt to, nor on shards that are lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from dslnode.simulation.local_shards import LocalShards
from dslnode.simulation.simulation import Simulation
from dslnode.simulation.windows import Job, Shards
from tests.simulation.networks import simulation

CASES: dict[str, dict[str, Any]] = {
    "thin lines and churn": {"link": "50kbit/s,50ms,5%", "churn": 0.3, "speed_sigma": 0.5, "rounds": 5},
    "no delay": {"link": "", "speed_sigma": 0.5, "churn": 0.2},
    "all alike": {"link": "10Mbit/s,10ms", "topology": "complete"},
    "hostile, both kinds of masks": {"hostile": "0.4:loud", "exchange": "both", "keep_ratio": "0.2..0.6", "churn": 0.2},
    "keep masks": {"exchange": "keep", "link": "100kbit/s", "topology": "erdos:3", "churn": 0.3, "rounds": 4},
    "data cap": {"data_cap": "1.8MB/day", "step_time": 60.0, "send_threshold": 0.0, "rounds": 6},
    "until a score": {"until_score": 0.6, "rounds": 30, "speed_sigma": 1.0, "link": "1Mbit/s,200ms"},
    "silent ones": {"hostile": "0.3:silent", "exchange": "both"},
}


def ended(engine: Callable[[Job], Shards], **given: Any) -> Simulation:
    """Return a simulation that has run to its end on these shards."""
    begun = simulation(engine=engine, **{"nodes": 7, **given})
    list(begun.run())
    return begun


@pytest.mark.parametrize("case", CASES)
def test_any_number_of_shards_finds_the_same_to_the_bit(case: str) -> None:
    whole = ended(LocalShards, **CASES[case])
    assert whole.records
    for count in (2, 3, 7):
        parted = ended(partial(LocalShards, count=count), **CASES[case])
        assert parted.records == whole.records
        assert parted.incidents() == whole.incidents()
