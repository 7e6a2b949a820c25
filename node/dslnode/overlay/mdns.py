"""Announces this node by multicast DNS (RFC 6762, RFC 6763), and finds nodes of the run on the local network.

An announcement proves nothing. It is bounded, and gives an address to dial; the node that answers there is checked
like any other. Needs the package ``zeroconf``, which is optional.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psutil

from dslnode.addresses import WILDCARDS, announceable, bracketed, host_and_port, is_link_local, is_loopback
from dslnode.errors import SettingsError
from dslnode.name_lookup import resolve_own
from dslnode.protocol.membership import MemberRecord
from dslnode.telemetry.logs import Logger
from dslnode.transport.handshake import NODE_ID_BYTES, NodeInfo
from dslnode.transport.member_frames import MAX_NAME, is_well_formed

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncZeroconf

SERVICE = "_dslnode._tcp.local."
ANSWER_TIMEOUT_MILLISECONDS = 3_000
MAX_CONCURRENT = 16
"""Upper bound of announcements resolved at the same time; others are repeated later."""


@dataclass(frozen=True)
class Announcement:
    """Identity of this node, and the host and port where it listens."""

    me: NodeInfo
    host: str
    port: int


def check_discovery(*, discover: bool) -> None:
    """Raise ``SettingsError`` if nodes are to be discovered and the package for it is not installed."""
    if discover and importlib.util.find_spec("zeroconf") is None:
        raise SettingsError("--discover needs the package zeroconf; install it with: pip install 'dslnode[discover]'")


def read_announcement(
    fields: Mapping[bytes, bytes | None], addresses: Sequence[str], port: int | None, me: NodeInfo
) -> MemberRecord | None:
    """Return the announced node with its address; None for this node, another run, or anything out of bounds."""
    run, key, name, advertise = (
        (fields.get(field.encode()) or b"").decode(errors="replace") for field in ("run", "id", "name", "at")
    )
    address = announceable(advertise) or (bracketed(addresses[0], port) if addresses and addresses[0] and port else "")
    needs_zone = is_link_local(address.rpartition(":")[0]) and "%" not in address
    is_other = run == me.run_id and key != me.key and _is_node_id(key)
    is_named = len(name) <= MAX_NAME and name.isprintable()
    can_dial = bool(address) and is_well_formed(address) and not needs_zone
    return MemberRecord(key, 0, name, address) if is_other and is_named and can_dial else None


async def discover(own: Announcement, on_discovered: Callable[[MemberRecord], None], log: Logger) -> None:
    """Announce this node and pass others to ``on_discovered``, until cancelled."""
    from zeroconf import Error, InterfaceChoice
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    try:
        own = replace(own, host=(await resolve_own(bracketed(own.host, own.port))).host)
        all_interfaces = own.host in WILDCARDS
        network = AsyncZeroconf(interfaces=InterfaceChoice.All if all_interfaces else [own.host])
    except OSError as error:
        log.warning("not discovering", problem=f"no multicast here: {error.strerror or error}")
        return
    tasks: set[asyncio.Task[None]] = set()

    def on_change(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change.name != "Removed" and len(tasks) < MAX_CONCURRENT:
            task = asyncio.ensure_future(_resolve(zeroconf, service_type, name, own.me, on_discovered))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async with _closing(network):
        try:
            await (await network.async_register_service(_service(own)))
        except Error as error:
            log.warning("not announced", problem=str(error) or type(error).__name__)
        AsyncServiceBrowser(network.zeroconf, SERVICE, handlers=[on_change])
        await asyncio.Event().wait()


async def _resolve(
    zeroconf: Zeroconf, service: str, name: str, me: NodeInfo, on_discovered: Callable[[MemberRecord], None]
) -> None:
    from zeroconf.asyncio import AsyncServiceInfo

    info = AsyncServiceInfo(service, name)
    if await info.async_request(zeroconf, ANSWER_TIMEOUT_MILLISECONDS):
        record = read_announcement(info.properties, info.parsed_scoped_addresses(), info.port, me)
        if record is not None:
            on_discovered(record)


def _service(own: Announcement) -> ServiceInfo:
    from zeroconf import ServiceInfo

    me = own.me
    addresses = _own_addresses() if own.host in WILDCARDS else [own.host.partition("%")[0]]
    fields = {"run": me.run_id, "id": me.key, "name": me.name, "at": announceable(me.advertise)}
    return ServiceInfo(SERVICE, f"{me.key}.{SERVICE}", port=own.port, parsed_addresses=addresses, properties=fields)


@contextlib.asynccontextmanager
async def _closing(network: AsyncZeroconf) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await network.async_close()


def announcement(me: NodeInfo, listen: str, port: int) -> Announcement:
    """Return the announcement of a node that listens at ``HOST:PORT``, on ``port`` if that is 0."""
    return Announcement(me, host_and_port(listen)[0], port)


def _own_addresses() -> list[str]:
    """Return this machine's IPv4 addresses; its loopback ones only if there are no others."""
    entries = (entry for entries in psutil.net_if_addrs().values() for entry in entries)
    addresses = [entry.address for entry in entries if entry.family == socket.AF_INET]
    return [address for address in addresses if not is_loopback(address)] or addresses


def _is_node_id(key: str) -> bool:
    return len(key) == 2 * NODE_ID_BYTES and all(digit in "0123456789abcdef" for digit in key)
