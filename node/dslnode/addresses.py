"""The address of a node, HOST:PORT: its form, its parts, and whether it is this machine."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote

ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+(?:%[^\s\[\]%/,:]{1,15})?\]|[^\s:\[\]%]+):([0-9]{1,5})")
"""An IPv6 address may have a zone, the interface on which it holds: a name of at most 15 bytes, or a number."""
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that stand for all addresses of a machine, and how the machine itself reaches who listens there."""


def check_address(address: str) -> str:
    """Return ``HOST:PORT`` unchanged, or raise ``ValueError``."""
    match = ADDRESS.fullmatch(address)
    if match is None or int(match[2]) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT, such as 10.0.0.2:7711 or [fd00::2]:7711")
    return address


def ip_address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a host without brackets is; None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether the host, a name or an address with or without brackets, is this machine and no other."""
    bare = host.strip("[]").partition("%")[0]
    if bare == "localhost":
        return True
    address = ip_address_of(bare)
    if address is None:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_link_local(host: str) -> bool:
    """Return whether the host, with or without brackets and zone, is an IPv6 address that holds on one link only."""
    address = ip_address_of(host.strip("[]").partition("%")[0])
    return address is not None and address.version == 6 and address.is_link_local


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two parts of a checked ``HOST:PORT``, the host without the brackets of an IPv6 address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def bracketed(host: str, port: int) -> str:
    """Return HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def grpc_address(host: str, port: int) -> str:
    """Return HOST:PORT as gRPC reads it: a URI, in which the % before a zone is encoded."""
    bare, percent, zone = host.partition("%")
    return bracketed(f"{bare}%25{quote(zone)}" if percent else bare, port)


def announceable(address: str) -> str:
    """Return an address of this node for others to dial; empty if it is link-local: zones differ by machine."""
    return "" if is_link_local(address.rpartition(":")[0]) else address
