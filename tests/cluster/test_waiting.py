"""Real daemons of which one may not train now: the other goes on, and the one that waits answers and ends at once."""

from __future__ import annotations

import signal
import time

from dslnode.transport.client import ask_status
from tests.cluster.processes import NodeProcess, free_port


def not_now() -> str:
    """Return an hour of the day that begins in some hours."""
    hour = time.localtime().tm_hour
    return f"{(hour + 6) % 24:02}:00-{(hour + 7) % 24:02}:00"


def test_a_node_outside_its_hours_waits_answers_and_delays_no_neighbour() -> None:
    port = free_port()
    with (
        NodeProcess("waiting", port, "--share", "1/2", "--only-between", not_now(), "--nice", "5") as waiting,
        NodeProcess("free", free_port(), "--share", "2/2", "--peers", f"127.0.0.1:{port}") as free,
    ):
        assert waiting.wait_for_event("waiting")["reason"] == "hours"
        waiting.wait_for_event("neighbour up", neighbour="free")
        free.wait_for_round(8)
        reply = ask_status(waiting.address, 10.0)
        assert (reply.phase, reply.round) == ("waiting", 0)
        assert not waiting.rounds()
        assert [line["event"] for line in waiting.log.events].count("waiting") == 1
        code, seconds = waiting.end(signal.SIGTERM)
        assert (code, seconds < 2) == (143, True)
        assert waiting.wait_for_event("stopped")["why"] == "terminated"
