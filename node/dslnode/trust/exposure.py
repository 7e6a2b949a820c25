"""What may be open to whom: without identity and encryption a node stays on loopback, unless told otherwise."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from dslnode.errors import SettingsError

REMEDY = (
    "start with --ticket FILE (made by `dslnode ca issue`), stay on 127.0.0.1, "
    "or say --insecure if you trust everybody in that network"
)


WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that stand for all addresses of a machine, and how the machine itself reaches who listens there."""


def is_loopback(host: str) -> bool:
    """Return whether the host, a name or an address with or without brackets, is this machine and no other."""
    bare = host.strip("[]").partition("%")[0]
    if bare == "localhost":
        return True
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def check_exposure(listen: str, peers: Sequence[str], ticket: Path | None, *, insecure: bool) -> None:
    """Raise ``SettingsError`` if the node would talk without identity and encryption to more than this machine."""
    if ticket is not None and insecure:
        raise SettingsError("--ticket and --insecure contradict each other; leave one of them out")
    if ticket is not None or insecure:
        return
    if not is_loopback(host_and_port(listen)[0]):
        raise SettingsError(
            f"--listen {listen} would let in whoever reaches this port, unknown and unencrypted; {REMEDY}"
        )
    for peer in peers:
        if not is_loopback(host_and_port(peer)[0]):
            raise SettingsError(f"--peers {peer} would be talked with unencrypted, whoever answers there; {REMEDY}")


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two parts of a checked ``HOST:PORT``, the host without the brackets of an IPv6 address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def bracketed(host: str, port: int) -> str:
    """Return HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
