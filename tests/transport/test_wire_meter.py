"""The meter: every byte that the kernel moved is booked once, to the neighbour or to the others."""

from __future__ import annotations

import pytest

from dslnode.transport import wire_meter as module
from dslnode.transport.tcp_info import TcpConnection
from dslnode.transport.traffic import Traffic
from dslnode.transport.wire_meter import WireMeter

HERE, THERE = ("10.0.0.2", 7711), ("10.0.0.3", 7711)


class Kernel:
    """What the kernel says next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open: list[TcpConnection] = []
        monkeypatch.setattr(module, "tcp_connections", lambda: list(self.open))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def test_growth_is_booked_once_however_often_it_is_read(kernel: Kernel) -> None:
    meter, neighbour, others = WireMeter(), Traffic(), Traffic()
    for sent, received, resent in ((100, 50, 0), (100, 50, 0), (300, 80, 40)):
        kernel.open = [TcpConnection(HERE, sent, received, resent, 1)]
        meter.measure({HERE: neighbour}, others)
    assert (neighbour.sent.link_bytes, neighbour.received.link_bytes, neighbour.sent.resent_bytes) == (300, 80, 40)
    assert others == Traffic()


def test_connections_of_nobody_go_to_the_others_unless_they_are_local(kernel: Kernel) -> None:
    meter, neighbour, others = WireMeter(), Traffic(), Traffic()
    kernel.open = [
        TcpConnection(HERE, 10, 20, 0, 1),
        TcpConnection(THERE, 100, 200, 0, 2),
        TcpConnection(("127.0.0.1", 80), 1_000, 2_000, 0, 3),
    ]
    meter.measure({HERE: neighbour}, others)
    assert (neighbour.sent.link_bytes, others.sent.link_bytes, others.received.link_bytes) == (10, 100, 200)


def test_a_link_over_loopback_counts_as_any_other(kernel: Kernel) -> None:
    meter, neighbour = WireMeter(), Traffic()
    kernel.open = [TcpConnection(("127.0.0.1", 80), 10, 20, 0, 1)]
    meter.measure({("127.0.0.1", 80): neighbour}, Traffic())
    assert neighbour.sent.link_bytes == 10


def test_a_number_that_is_used_again_begins_at_nothing(kernel: Kernel) -> None:
    meter, neighbour = WireMeter(), Traffic()
    for connection in (
        TcpConnection(HERE, 500, 500, 0, 1),
        TcpConnection(THERE, 600, 700, 0, 1),
        TcpConnection(THERE, 50, 60, 0, 1),
    ):
        kernel.open = [connection]
        meter.measure({HERE: neighbour, THERE: neighbour}, Traffic())
    assert (neighbour.sent.link_bytes, neighbour.received.link_bytes) == (500 + 600 + 50, 500 + 700 + 60)


def test_closed_connections_are_forgotten(kernel: Kernel) -> None:
    meter, neighbour = WireMeter(), Traffic()
    for open_now in ([TcpConnection(HERE, 500, 500, 0, 1)], [], [TcpConnection(HERE, 600, 600, 0, 1)]):
        kernel.open = open_now
        meter.measure({HERE: neighbour}, Traffic())
    assert neighbour.sent.link_bytes == 1_100
