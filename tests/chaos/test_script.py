"""Scripts of faults: they follow from the seed, end with a whole network, and spread kills evenly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.script import Kill, Part, Plan, Start, write_script

plans = st.builds(
    lambda nodes, kills, partitions, spared: Plan(nodes, 12.0 * max(1, kills), kills, partitions, spared),
    st.integers(4, 12),
    st.integers(0, 120),
    st.integers(0, 6),
    st.integers(0, 2),
)


@given(plans, st.integers(0, 2**32))
def test_killed_nodes_start_again_and_partitions_end(plan: Plan, seed: int) -> None:
    script = write_script(plan, seed)
    assert script == write_script(plan, seed)
    assert [step.at for step in script] == sorted(step.at for step in script)
    down: set[int] = set()
    apart, kills, partitions = frozenset[int](), 0, 0
    for step in script:
        match step.act:
            case Kill(node):
                assert node not in down
                assert plan.spared <= node < plan.nodes
                down.add(node)
                kills += 1
            case Start(node):
                down.remove(node)
            case Part(now_apart):
                assert bool(apart) != bool(now_apart)
                apart = now_apart
                partitions += bool(apart)
                assert len(apart) in {0, plan.nodes // 2}
    assert (down, apart) == (set(), frozenset())
    assert (kills, partitions) == (plan.kills, plan.partitions)


def test_another_seed_gives_another_script() -> None:
    plan = Plan(nodes=8, seconds=100, kills=12, partitions=2)
    assert write_script(plan, 1) != write_script(plan, 2)


def test_kills_are_spread_evenly() -> None:
    script = write_script(Plan(nodes=8, seconds=600, kills=60, partitions=0), 1)
    kills = [step.act.node for step in script if isinstance(step.act, Kill)]
    assert {kills.count(node) for node in range(2, 8)} == {10}
