"""Finds nodes of the run on the local network by multicast DNS (RFC 6762, RFC 6763), and lets them find this one.

What is announced proves nothing. It is bounded, and gives an address to dial; who answers there is examined as
everybody is. Needs the package ``zeroconf``, which is optional.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dslnode.addresses import WILDCARDS, bracketed, host_and_port, is_loopback
from dslnode.errors import SettingsError
from dslnode.protocol.membership import MemberRecord
from dslnode.telemetry.logs import Logger
from dslnode.transport.handshake import NODE_ID_BYTES, NodeInfo
from dslnode.transport.member_frames import MAX_NAME, is_dialable

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncZeroconf

SERVICE = "_dslnode._tcp.local."
ANSWER_MILLISECONDS = 3_000
MAX_ASKED = 16
"""Announcements that are looked into at the same time; those that come meanwhile come again."""


@dataclass(frozen=True)
class Announcement:
    """What this node says of itself: who it is, and the host and port where it listens."""

    me: NodeInfo
    host: str
    port: int


def check_discovery(*, discover: bool) -> None:
    """Raise ``SettingsError`` if nodes are to be discovered and the package for it is not installed."""
    if discover and importlib.util.find_spec("zeroconf") is None:
        raise SettingsError("--discover needs the package zeroconf: pip install -c constraints.txt '.[discover]'")


def read_announcement(
    fields: Mapping[bytes, bytes | None], addresses: Sequence[str], port: int | None, me: NodeInfo
) -> MemberRecord | None:
    """Return who announces itself, and where to dial it; None for this node, another run, or anything out of bounds."""
    run, key, name, advertise = (
        (fields.get(field.encode()) or b"").decode(errors="replace") for field in ("run", "id", "name", "at")
    )
    address = advertise or (bracketed(addresses[0], port) if addresses and addresses[0] and port else "")
    known = run == me.run_id and key != me.key and _is_node_id(key)
    named = len(name) <= MAX_NAME and name.isprintable()
    return MemberRecord(key, 0, name, address) if known and named and address and is_dialable(address) else None


async def discover(mine: Announcement, found: Callable[[MemberRecord], None], log: Logger) -> None:
    """Announce this node and tell ``found`` of others, until cancelled."""
    from zeroconf import Error, InterfaceChoice
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

    everywhere = mine.host in WILDCARDS
    try:
        network = AsyncZeroconf(interfaces=InterfaceChoice.All if everywhere else [mine.host])
    except OSError as error:
        log.warning("not discovering", problem=f"no multicast here: {error.strerror or error}")
        return
    asked: set[asyncio.Task[None]] = set()

    def heard(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change.name != "Removed" and len(asked) < MAX_ASKED:
            task = asyncio.ensure_future(_ask(zeroconf, service_type, name, mine.me, found))
            asked.add(task)
            task.add_done_callback(asked.discard)

    async with _closing(network):
        try:
            await (await network.async_register_service(_service(mine)))
        except Error as error:
            log.warning("not announced", problem=str(error) or type(error).__name__)
        AsyncServiceBrowser(network.zeroconf, SERVICE, handlers=[heard])
        await asyncio.Event().wait()


async def _ask(
    zeroconf: Zeroconf, service: str, name: str, me: NodeInfo, found: Callable[[MemberRecord], None]
) -> None:
    from zeroconf.asyncio import AsyncServiceInfo

    info = AsyncServiceInfo(service, name)
    if await info.async_request(zeroconf, ANSWER_MILLISECONDS):
        record = read_announcement(info.properties, info.parsed_addresses(), info.port, me)
        if record is not None:
            found(record)


def _service(mine: Announcement) -> ServiceInfo:
    from zeroconf import ServiceInfo

    me = mine.me
    addresses = _own_addresses() if mine.host in WILDCARDS else [mine.host]
    fields = {"run": me.run_id, "id": me.key, "name": me.name, "at": me.advertise}
    return ServiceInfo(SERVICE, f"{me.key}.{SERVICE}", port=mine.port, parsed_addresses=addresses, properties=fields)


@contextlib.asynccontextmanager
async def _closing(network: AsyncZeroconf) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await network.async_close()


def announcement(me: NodeInfo, listen: str, port: int) -> Announcement:
    """Return what a node that listens there announces."""
    return Announcement(me, host_and_port(listen)[0], port)


def _own_addresses() -> list[str]:
    """Return this machine's IPv4 addresses; its loopback ones only if there are no others."""
    import ifaddr

    found = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips if isinstance(ip.ip, str)]
    return [one for one in found if not is_loopback(one)] or found


def _is_node_id(key: str) -> bool:
    return len(key) == 2 * NODE_ID_BYTES and all(digit in "0123456789abcdef" for digit in key)
