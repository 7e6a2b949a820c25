"""Turns hosts into addresses of sockets, without waiting for name servers that do not answer.

Addresses need no lookup. Names are looked up in daemon threads of their own: the resolver of the system cannot be
interrupted, and may block for half a minute. Those that ask wait ``LOOKUP_SECONDS`` at most, then get the former answer
if there was one. The end of the process waits for no lookup.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from dslnode.addresses import host_and_port, ip_address_of, is_link_local

LOOKUP_SECONDS = 5.0
MAX_LOOKUPS = 48
"""Upper bound of threads; further names wait for one."""
MAX_ANSWERS = 1_000
"""Upper bound of names whose last answer is kept."""


class LookupFailedError(OSError):
    """A host leads to no address. ``reason`` is what the system says of a name."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


SocketAddress = tuple[str, int] | tuple[str, int, int, int]
LOCALHOST = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class Endpoint:
    """An IP address and a port. ``scope`` is the index of the interface of a link-local address, else 0."""

    address: str
    port: int
    scope: int = 0

    @property
    def host(self) -> str:
        """The address, with the interface's name as zone if it is link-local: ``fe80::1%eth0``."""
        return host_of(self.socket_address)

    @property
    def family(self) -> socket.AddressFamily:
        """The address family of a socket for it."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def socket_address(self) -> SocketAddress:
        """The address as a socket takes it."""
        return (self.address, self.port, 0, self.scope) if ":" in self.address else (self.address, self.port)


def host_of(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return the host of a socket's address: IPv4 without ``::ffff:``, a link-local address with its zone."""
    host, scope = address[0].removeprefix("::ffff:"), address[3] if len(address) > 3 else 0
    if not scope or "%" in host or not is_link_local(host):
        return host
    try:
        return f"{host}%{socket.if_indextoname(scope)}"
    except OSError:  # the interface has gone
        return f"{host}%{scope}"


class Lookups:
    """Looks names up in daemon threads: each name once at a time, at most ``limit`` names at the same time."""

    def __init__(self, look_up: Callable[[str], list[str]], limit: int = MAX_LOOKUPS) -> None:
        self._look_up = look_up
        self._limit = limit
        self._lock = threading.Lock()
        self._pending: dict[str, Future[list[str]]] = {}
        self._waiting: deque[str] = deque()
        self._threads = 0
        self._answers: dict[str, list[str]] = {}

    def former(self, name: str) -> list[str]:
        """Return the last answer for a name; empty if there was none."""
        return self._answers.get(name, [])

    def start(self, name: str) -> Future[list[str]]:
        """Return the addresses of a name to be; its error is an ``OSError`` or a ``ValueError``."""
        with self._lock:
            if name in self._pending:
                return self._pending[name]
            future = self._pending[name] = Future()
            self._waiting.append(name)
            if self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name="lookup", daemon=True).start()
        return future

    def _work(self) -> None:
        while (name := self._next()) is not None:
            try:
                addresses = self._look_up(name)
            except Exception as error:
                self._take(name).set_exception(error)
            else:
                self._keep(name, addresses)
                self._take(name).set_result(addresses)

    def _next(self) -> str | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            return None

    def _keep(self, name: str, addresses: list[str]) -> None:
        with self._lock:
            self._answers.pop(name, None)
            self._answers[name] = addresses
            if len(self._answers) > MAX_ANSWERS:
                del self._answers[next(iter(self._answers))]

    def _take(self, name: str) -> Future[list[str]]:
        with self._lock:
            return self._pending.pop(name)


def _system_lookup(name: str) -> list[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(host_of(address) for *_, address in found))  # type: ignore[arg-type]


_lookups = Lookups(_system_lookup)


async def resolve(host: str, port: int, seconds: float = LOOKUP_SECONDS) -> list[Endpoint]:
    """Return what a host stands for, at least one; ``LookupFailedError`` if that is nothing."""
    known = _without_lookup(host, port)
    if known:
        return known
    future, loop = _lookups.start(host), asyncio.get_running_loop()
    finished = asyncio.Event()

    def tell(_: Future[list[str]]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finished.set)

    future.add_done_callback(tell)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await finished.wait()
    return _result(future, host, port, seconds)


def resolve_blocking(host: str, port: int, seconds: float = LOOKUP_SECONDS) -> list[Endpoint]:
    """Return the same as ``resolve``, for threads."""
    known = _without_lookup(host, port)
    if known:
        return known
    future, finished = _lookups.start(host), threading.Event()
    future.add_done_callback(lambda _: finished.set())
    finished.wait(seconds)
    return _result(future, host, port, seconds)


async def resolve_own(address: str) -> Endpoint:
    """Return where to listen for ``HOST:PORT``: a name's first IPv4 address, or its first. Raises ``OSError``."""
    return _own(await resolve(*host_and_port(address)))


def resolve_own_blocking(address: str) -> Endpoint:
    """Return the same as ``resolve_own``, for threads."""
    return _own(resolve_blocking(*host_and_port(address)))


async def connect(endpoints: list[Endpoint]) -> socket.socket:
    """Return a connection to the first of several addresses that accepts one; ``OSError`` if none does."""
    problem = OSError("there is no address to connect to")
    for endpoint in endpoints:
        connection = socket.socket(endpoint.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, endpoint.socket_address)
        except OSError as error:
            connection.close()
            problem = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise problem


def _own(endpoints: list[Endpoint]) -> Endpoint:
    return next((each for each in endpoints if each.family is socket.AF_INET), endpoints[0])


def _without_lookup(host: str, port: int) -> list[Endpoint]:
    """Return what needs no name server; empty for a name that does."""
    if host.lower() == "localhost":
        return [Endpoint(address, port) for address in LOCALHOST]
    endpoint = _numeric(host, port)
    if endpoint is not None:
        return [endpoint]
    try:  # forms such as 127.1
        return [Endpoint(socket.inet_ntoa(socket.inet_aton(host)), port)]
    except (OSError, ValueError):
        return []


def _numeric(host: str, port: int) -> Endpoint | None:
    bare, percent, zone = host.partition("%")
    address = ip_address_of(bare)
    if address is None:
        return None
    if not percent and not is_link_local(bare):
        return Endpoint(bare, port)
    if address.version == 4:
        if percent:
            raise LookupFailedError(f"{host} has a zone, which addresses of IPv4 do not have")
        return Endpoint(bare, port)
    if not percent:
        raise LookupFailedError(f"{host} is a link-local address; add its interface as the zone, such as {host}%eth0")
    scope = _interface(zone, host)
    return Endpoint(str(address), port, scope if is_link_local(bare) else 0)


def _interface(zone: str, host: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        return socket.if_nametoindex(zone)
    with contextlib.suppress(OSError, ValueError, OverflowError):
        socket.if_indextoname(int(zone))
        return int(zone)
    raise LookupFailedError(f"this machine has no network interface {zone!r}, the zone of {host}")


def _result(future: Future[list[str]], host: str, port: int, seconds: float) -> list[Endpoint]:
    try:
        found = _answer(future, host, seconds)
    except LookupFailedError:
        found = _lookups.former(host)
        if not found:
            raise
    except socket.gaierror as error:
        reason = error.strerror or str(error)
        raise LookupFailedError(f"the name {host!r} is not known ({reason})", reason) from error
    except ValueError as error:
        raise LookupFailedError(f"{host!r} is not a name that can be looked up ({error})", str(error)) from error
    endpoints = [endpoint for address in found if (endpoint := _numeric(address, port)) is not None]
    if not endpoints:
        raise LookupFailedError(f"the name {host!r} stands for no host", "it stands for no host")
    return endpoints


def _answer(future: Future[list[str]], host: str, seconds: float) -> list[str]:
    """Return the answer of a lookup. ``LookupFailedError`` if no name server gave any, else what it raised."""
    if not future.done():
        reason = f"no name server answered within {seconds:g} s"
        raise LookupFailedError(f"the name {host!r} is not known ({reason})", reason)
    try:
        return future.result()
    except socket.gaierror as error:
        if error.errno != socket.EAI_AGAIN:
            raise
        reason = error.strerror or str(error)
        raise LookupFailedError(f"the name {host!r} is not known ({reason})", reason) from error
