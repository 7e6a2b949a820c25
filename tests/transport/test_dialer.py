"""The dialler: pauses that grow to a cap, and failures that say what to look at."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode import name_lookup
from dslnode.name_lookup import Lookups
from dslnode.security.channels import PlainChannels, TlsChannels
from dslnode.transport import dialer
from dslnode.transport.dialer import ExponentialBackoff, keep_dialing
from dslnode.transport.link_events import DialFailed, LinkUp
from tests.networks import Operator
from tests.transport.nodes import Loopback, Node, node_info, soon
from tests.transport.test_strangers import member


@pytest.fixture
def real_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "FIRST_PAUSE", 0.3)
    monkeypatch.setattr(dialer, "LONGEST_PAUSE", 5.0)


class Middle(random.Random):
    """Jitter that jitters nothing."""

    def uniform(self, a: float, b: float) -> float:
        """Return the middle."""
        return (a + b) / 2


@pytest.mark.usefixtures("real_pauses")
def test_pauses_double_up_to_the_longest() -> None:
    pauses = ExponentialBackoff(Middle())
    assert [pauses.next_pause() for _ in range(7)] == pytest.approx([0.3, 0.6, 1.2, 2.4, 4.8, 5.0, 5.0])


@pytest.mark.usefixtures("real_pauses")
def test_after_a_reset_pauses_are_short_again() -> None:
    pauses = ExponentialBackoff(Middle())
    taken = [pauses.next_pause() for _ in range(10)]
    pauses.reset()
    assert [pauses.next_pause() for _ in range(10)] == taken


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_pause_is_jittered_by_a_quarter_and_never_longer_than_that_over_the_cap(seed: int, tries: int) -> None:
    jittered, plain = ExponentialBackoff(random.Random(seed)), ExponentialBackoff(Middle())
    for _ in range(tries):
        pause, middle = jittered.next_pause(), plain.next_pause()
        assert 0.75 * middle <= pause <= 1.25 * middle <= 1.25 * dialer.LONGEST_PAUSE


def test_nodes_that_start_together_dial_at_different_times() -> None:
    assert len({ExponentialBackoff(random.Random(seed)).next_pause() for seed in range(20)}) == 20


async def failure(net: Loopback, node: Node, address: str) -> str:
    """Dial an address twice without success and return why, which is the same both times."""
    node.dial(address)
    await net.news.until(lambda: len(node.all(DialFailed)) == 2)
    [first, second] = node.all(DialFailed)
    assert first == second
    assert first.address == address
    return first.explanation


async def test_a_closed_port_is_reported_as_one(net: Loopback) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: the kernel refuses
        why = await failure(net, await net.node(1), f"127.0.0.1:{unused.getsockname()[1]}")
    assert why == "no connection within 0.5 s (is the node running, the port open?)"


async def test_a_port_that_accepts_and_sends_nothing_is_no_connection(net: Loopback) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        why = await failure(net, await net.node(1), f"127.0.0.1:{mute.getsockname()[1]}")
    assert why.startswith("no connection within 0.5 s")


def lookup(monkeypatch: pytest.MonkeyPatch, answer: list[str] | Exception) -> None:
    """Replace the name service by this answer."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: object, **kwargs: object) -> list[object]:
        if host != "board.test":
            return list(real(host, port, *args, **kwargs))  # type: ignore[arg-type]
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port)) for found in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


async def test_an_unknown_name_is_reported_with_the_name(net: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup(monkeypatch, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    why = await failure(net, await net.node(1), "board.test:7711")
    assert why == "the name 'board.test' is not known (Name or service not known)"


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".test"])
async def test_an_invalid_name_is_reported_like_an_unknown_one(net: Loopback, name: str) -> None:
    assert repr(name) in await failure(net, await net.node(1), f"{name}:7711")


async def test_every_host_behind_a_name_is_tried(net: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "CONNECT_SECONDS", 0.2)
    lookup(monkeypatch, ["127.0.0.2", "127.0.0.1"])  # as IPv6 and IPv4 of a node that listens on the latter only
    first, second = await net.node(1), await net.node(2)
    first.dial(f"board.test:{second.port}")
    await net.connected(first, second)
    assert [report.address for report in first.all(LinkUp)] == [f"board.test:{second.port}"]
    assert first.network.links[second.me.key].remote == ("127.0.0.1", second.port)
    assert not first.all(DialFailed)


async def test_a_name_with_very_many_hosts_does_not_hold_up_the_dialler(
    net: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialer, "CONNECT_SECONDS", 0.01)
    lookup(monkeypatch, [f"127.0.1.{number}" for number in range(1, 250)])
    async with asyncio.timeout(5):
        assert "no connection" in await failure(net, await net.node(1), "board.test:9")


async def test_ipv6_is_dialled_in_brackets(net: Loopback) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
            port = probe.getsockname()[1]
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    first, second = await net.node(1), Node(net.news, node_info(2))
    await second.server.listen(f"[::1]:{port}")
    first.dial(f"[::1]:{port}")
    await net.connected(first, second)
    assert first.network.links[second.me.key].remote == ("::1", port)
    assert second.network.links[first.me.key].remote[0] == "::1"
    await second.stop()


async def test_a_peer_that_dialled_us_is_not_dialled(net: Loopback) -> None:
    greater, smaller = await net.node(2), await net.node(1)
    smaller.dial(greater.address)
    await net.connected(smaller, greater)
    greater.dial(smaller.address)
    await soon(lambda: smaller.address in greater.network.dialled)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3 * dialer.LONGEST_PAUSE):
            await greater.network.wait_until_needed(smaller.address)
    assert smaller.refusals() == ["duplicate"]
    await smaller.stop()
    async with asyncio.timeout(5):
        await greater.network.wait_until_needed(smaller.address)


async def test_dialling_ends_when_it_is_cancelled_whatever_it_is_doing(net: Loopback) -> None:
    first, second = await net.pair()
    mute = socket.create_server(("127.0.0.1", 0))
    with mute:
        tasks = [first.dial(f"127.0.0.1:{mute.getsockname()[1]}"), first.dial("a..b:1"), *first.tasks]
        await net.news.until(lambda: first.all(DialFailed))
        async with asyncio.timeout(5):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    await net.news.until(lambda: not second.network.links)


def link_local() -> str:
    """Return a link-local address of this machine with its zone; skip the test if there is none."""
    for name, entries in psutil.net_if_addrs().items():
        for entry in entries:
            if entry.family == socket.AF_INET6 and entry.address.startswith("fe80"):
                return f"{entry.address.partition('%')[0]}%{name}"
    pytest.skip("this machine has no link-local address")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_link_local_address_is_listened_on_and_dialled_by_its_zone(
    net: Loopback, tmp_path: Path, *, tls: bool
) -> None:
    host = link_local()
    operator = Operator(tmp_path / "authority")
    first, second = (
        member(net, operator.ticket(f"board-{number}"), number) if tls else Node(net.news, node_info(number))
        for number in (1, 2)
    )
    await net.start(first)
    port = await second.server.listen(f"[{host}]:0")
    task = asyncio.ensure_future(
        keep_dialing(
            first.network,
            f"[{host}]:{port}",
            random.Random(1),
            PlainChannels(anywhere=True) if first.tunnels is None else TlsChannels(first.tunnels),
        )
    )
    await net.connected(first, second)
    assert first.network.links[second.me.key].remote == (host, port)
    assert second.network.links[first.me.key].remote[0] == host
    for node in (first, second):
        node.network.measure_traffic()
    assert first.network.traffic[second.me.key].sent.wire_bytes > 0, "the kernel's count of the connection is found"
    assert second.network.traffic[first.me.key].sent.wire_bytes > 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await second.stop()


async def test_an_absent_zone_is_named(net: Loopback) -> None:
    why = await failure(net, await net.node(1), "[fe80::1%absent0]:7711")
    assert why == "this machine has no network interface 'absent0', the zone of fe80::1%absent0"


async def test_names_that_nobody_answers_hold_up_no_numeric_peer(
    net: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(name_lookup, "_lookups", Lookups(lambda _: [str(released.wait(60))]))
    first, second = await net.node(1), await net.node(2)
    try:
        for number in range(40):
            first.dial(f"board-{number}.lan:7711")
        first.dial(second.address)
        await net.connected(first, second)
        async with asyncio.timeout(5):
            await first.stop()
    finally:
        released.set()
