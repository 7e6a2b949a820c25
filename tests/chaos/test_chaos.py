"""Eight real daemons with tickets over a bad network, killed and parted: nothing that was learned is lost.

``make chaos`` runs the short script, ``make chaos-long`` the one with a hundred kills. Needs root and ``/dev/net/tun``.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos import namespaces
from tests.chaos.boards import Network, networked
from tests.chaos.play import accuracy, complaints, damaged_files, growth, lost_rounds, play, rounds_of, watch_until
from tests.chaos.script import Plan, write_script
from tests.chaos.wire import Conditions

NODES, SEED = 8, 5
BAD = Conditions(delay=0.05, loss=0.02, rates={NODES - 1: 256_000})
ROUNDS = 60
"""Every node finishes as many at least; accuracies do not rise any more by then."""
PATIENCE = 600.0
GROWTH = 6 << 20
"""Bytes by which a daemon may grow in half of its run: allocator and caches."""
LIFE = 45.0
"""Seconds of a run below which growth is not measured."""

missing = namespaces.missing()
pytestmark = [pytest.mark.chaos, pytest.mark.skipif(missing is not None, reason=f"chaos {missing}")]


def begin(network: Network) -> None:
    for index in range(NODES):
        network.start(index)
    watch_until(network, lambda: min(rounds_of(network)) >= 1, PATIENCE)


def learn_on(network: Network, rounds: int) -> None:
    """Let every node finish some more rounds, and at least ``ROUNDS`` in all."""
    goals = [max(ROUNDS, number + rounds) for number in rounds_of(network)]
    watch_until(network, lambda: all(a >= b for a, b in zip(rounds_of(network), goals, strict=True)), PATIENCE)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return the accuracy of the same nodes on a perfect network."""
    with networked(tmp_path_factory.mktemp("undisturbed"), NODES, SEED) as network:
        begin(network)
        learn_on(network, 0)
        assert len(network.linked()) == 1
        found = accuracy(network.boards)
        print(f"undisturbed: {found:.2f} % in rounds {rounds_of(network)}")
        return found


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(Plan(NODES, seconds=100, kills=12, partitions=2), id="short"),
        pytest.param(Plan(NODES, seconds=1_200, kills=110, partitions=12), id="long", marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_on_a_bad_network_with_partitions_and_kills(
    undisturbed: float, plan: Plan, tmp_path: Path
) -> None:
    with networked(tmp_path, NODES, SEED) as network:
        begin(network)
        began = time.monotonic()
        play(network, write_script(plan, SEED), BAD)
        watch_until(network, lambda: all(board.running and board.life.last_round for board in network.boards), PATIENCE)
        watch_until(network, lambda: len(network.linked()) == 1, PATIENCE)
        healed = time.monotonic() - began - plan.seconds
        learn_on(network, 10)
        found = accuracy(network.boards)
        lost = [lost_rounds(board) for board in network.boards]
        grown = [max(growth(life, LIFE) for life in board.lives) for board in network.boards]
        print(f"{plan.kills} kills, lives {[len(board.lives) for board in network.boards]}, whole {healed:.0f} s later")
        print(f"disturbed: {found:.2f} % (undisturbed {undisturbed:.2f} %) in rounds {rounds_of(network)}")
        print(f"rounds lost at restarts {lost}; grown over half a life, MB: {[size >> 20 for size in grown]}")
        assert not [damage for board in network.boards for damage in damaged_files(board)]
        assert not [complaint for board in network.boards for complaint in complaints(board)]
        assert all(max(some) <= board.checkpoint_every for some, board in zip(lost, network.boards, strict=True))
        assert max(grown) <= GROWTH
        assert found >= undisturbed - 1.0
        assert len(network.linked()) == 1
