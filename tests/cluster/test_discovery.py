"""Real daemons that know no address find each other by multicast, and who has no ticket gets no further than before."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.daemons import Daemon
from benchmarks.namespaces import Hosts, missing
from tests.cluster.processes import NodeProcess, free_port
from tests.networks import Operator

LIFE = ("--local-steps", "1", "--samples-per-class", "3", "--evaluate-every", "1000", "--round-deadline", "1")


def test_two_daemons_on_one_machine_find_each_other_without_an_address() -> None:
    with NodeProcess("one", free_port(), "--discover", *LIFE) as one:
        with NodeProcess("other", free_port(), "--discover", *LIFE) as other:
            one.wait_for_event("neighbour up", neighbour="other")
            other.wait_for(lambda line: line["event"] == "round" and line["masks"] == 1)
        assert not one.log.other_lines, one.log.tail()
    with NodeProcess("apart", free_port(), "--discover", "--run-id", "another", *LIFE) as apart:
        apart.wait_for_round(3)
        assert not [line for line in apart.log.events if line["event"].startswith("neighbour")]


@pytest.mark.skipif(missing() is not None, reason=f"needs network namespaces: {missing()}")
def test_hosts_of_one_network_find_each_other_and_admit_no_others(tmp_path: Path) -> None:
    operator, stranger = Operator(tmp_path / "authority"), Operator(tmp_path / "stranger")
    tickets = [operator.ticket("one"), operator.ticket("other"), stranger.ticket("third")]
    with ExitStack() as running:
        hosts = running.enter_context(Hosts(3))
        one, other, third = (
            running.enter_context(
                Daemon("--ticket", str(ticket), "--discover", "--metrics", "off", *LIFE, prefix=host.prefix)
            )
            for host, ticket in zip(hosts, tickets, strict=True)
        )
        one.wait_for("neighbour up", lambda line: line["neighbour"] == "other")
        other.wait_for("neighbour up", lambda line: line["neighbour"] == "one")
        third.wait_for("neighbour not reached")
        assert not third.events("neighbour up")
