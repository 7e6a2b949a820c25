"""Hosts become addresses of sockets: zones by interface, names in threads that nobody waits for."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest

from dslnode import name_lookup
from dslnode.name_lookup import (
    Endpoint,
    LookupFailedError,
    Lookups,
    connect,
    host_of,
    resolve,
    resolve_blocking,
    resolve_own,
)

LOOPBACK = socket.if_nametoindex("lo")


class NameServer:
    """Answers nothing until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: list[str] = []
        self.new = threading.Event()

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        self.new.set()
        self.released.wait(60)
        return ["127.0.0.1"]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(name_lookup, "_lookups", Lookups(server, limit=2))
    yield server
    server.released.set()


def link_local() -> tuple[str, str] | None:
    """Return a link-local address of this machine, and its interface."""
    for name, entries in psutil.net_if_addrs().items():
        for entry in entries:
            if entry.family == socket.AF_INET6 and entry.address.startswith("fe80"):
                return entry.address.partition("%")[0], name
    return None


@pytest.mark.parametrize("zone", ["lo", str(LOOPBACK)])
async def test_a_zone_is_a_name_or_a_number(zone: str) -> None:
    assert await resolve(f"fe80::1%{zone}", 7) == [Endpoint("fe80::1", 7, LOOPBACK)]
    assert Endpoint("fe80::1", 7, LOOPBACK).host == "fe80::1%lo"
    assert await resolve(f"::1%{zone}", 7) == [Endpoint("::1", 7)]


@pytest.mark.parametrize("zone", ["absent0", "987654", "99999999999999"])
async def test_a_zone_that_is_no_interface_is_named(zone: str) -> None:
    with pytest.raises(OSError, match=f"no network interface '{zone}', the zone of fe80::1%{zone}$"):
        await resolve(f"fe80::1%{zone}", 7)


async def test_a_link_local_address_needs_a_zone_and_others_of_ipv4_have_none() -> None:
    with pytest.raises(OSError, match=r"add its interface as the zone, such as fe80::1%eth0"):
        await resolve("fe80::1", 7)
    with pytest.raises(OSError, match=r"127\.0\.0\.1%lo has a zone"):
        await resolve("127.0.0.1%lo", 7)
    assert await resolve("169.254.0.1", 7) == [Endpoint("169.254.0.1", 7)]


def test_the_host_of_a_socket_has_its_zone_only_if_it_is_link_local() -> None:
    assert host_of(("fe80::1", 7, 0, LOOPBACK)) == "fe80::1%lo"
    assert host_of(("fe80::1", 7, 0, 987_654)) == "fe80::1%987654"
    assert host_of(("fd00::1", 7, 0, LOOPBACK)) == "fd00::1"
    assert host_of(("::ffff:10.0.0.1", 7, 0, 0)) == host_of(("10.0.0.1", 7)) == "10.0.0.1"


async def test_a_real_link_local_address_is_connected_to() -> None:
    own = link_local()
    if own is None:
        pytest.skip("this machine has no link-local address")
    endpoint = await resolve_own(f"[{own[0]}%{own[1]}]:0")
    with socket.create_server(endpoint.socket_address, family=endpoint.family) as listener:
        connection = await connect(await resolve(f"{own[0]}%{own[1]}", listener.getsockname()[1]))
        assert host_of(connection.getpeername()) == f"{own[0]}%{own[1]}"
        connection.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost", "LocalHost", "::1", "fe80::1%lo"])
async def test_addresses_wait_for_no_name_server(host: str, silent: NameServer) -> None:
    assert (await resolve(host, 7))[0].port == 7
    assert resolve_blocking(host, 7)
    assert silent.asked == []


async def test_a_name_that_nobody_answers_is_given_up(silent: NameServer) -> None:
    with pytest.raises(LookupFailedError, match=r"'board.lan' is not known .no name server answered within 0.01 s"):
        await resolve("board.lan", 7, seconds=0.01)
    with pytest.raises(LookupFailedError, match=r"within 0.01 s"):
        await asyncio.to_thread(resolve_blocking, "board.lan", 7, 0.01)
    assert silent.asked == ["board.lan"], "one lookup for all that ask"


async def test_the_former_answer_holds_while_no_name_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    answers: list[Callable[[], list[str]]] = [
        lambda: ["127.0.0.1"],
        lambda: failed(socket.EAI_AGAIN),
        lambda: ["127.0.0.2"] if released.wait(60) else [],
        lambda: failed(socket.EAI_NONAME),
    ]
    monkeypatch.setattr(name_lookup, "_lookups", Lookups(lambda _: answers.pop(0)()))
    for seconds in (60, 60, 0.01):
        assert await resolve("board.lan", 7, seconds) == [Endpoint("127.0.0.1", 7)]
    released.set()
    assert await resolve("board.lan", 7) == [Endpoint("127.0.0.2", 7)]
    with pytest.raises(LookupFailedError, match="not known"):
        await resolve("board.lan", 7)


def failed(number: int) -> list[str]:
    raise socket.gaierror(number, "failed")


async def test_an_answer_reaches_all_that_wait(silent: NameServer) -> None:
    waiting = [asyncio.ensure_future(resolve("board.lan", port)) for port in (1, 2)]
    await asyncio.to_thread(silent.new.wait, 10)
    silent.released.set()
    assert await asyncio.gather(*waiting) == [[Endpoint("127.0.0.1", 1)], [Endpoint("127.0.0.1", 2)]]


async def test_threads_are_bounded_and_the_names_that_wait_follow(silent: NameServer) -> None:
    before = threading.active_count()
    waiting = [asyncio.ensure_future(resolve(f"board-{number}.lan", 7)) for number in range(9)]
    await asyncio.sleep(0)
    assert threading.active_count() - before <= 2
    silent.released.set()
    assert len(await asyncio.gather(*waiting)) == 9
    assert sorted(silent.asked) == [f"board-{number}.lan" for number in range(9)]


async def test_an_ask_that_is_cancelled_leaves_the_others_alone(silent: NameServer) -> None:
    first, second = (asyncio.ensure_future(resolve("board.lan", 7)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    silent.released.set()
    assert await second == [Endpoint("127.0.0.1", 7)]


BLOCKED = """
import asyncio, time, socket
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
from dslnode.name_lookup import resolve
async def main():
    asyncio.ensure_future(resolve("board.lan", 7))
    await asyncio.sleep(0)
asyncio.run(main())
"""


def test_no_lookup_delays_the_end_of_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", BLOCKED], timeout=20, check=False).returncode == 0


async def test_connecting_tries_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_lookup, "_lookups", Lookups(lambda _: ["127.0.0.2", "127.0.0.1"]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        connection = await connect(await resolve("board.lan", address[1]))
        assert connection.getpeername() == address
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(await resolve("board.lan", address[1]))
