"""The address of a node, HOST:PORT: its form, its parts, and whether it is this machine."""

from __future__ import annotations

import ipaddress
import re

ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):([0-9]{1,5})")
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that stand for all addresses of a machine, and how the machine itself reaches who listens there."""


def check_address(address: str) -> str:
    """Return ``HOST:PORT`` unchanged, or raise ``ValueError``."""
    match = ADDRESS.fullmatch(address)
    if match is None or int(match[2]) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT, such as 10.0.0.2:7711 or [fd00::2]:7711")
    return address


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


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two parts of a checked ``HOST:PORT``, the host without the brackets of an IPv6 address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def bracketed(host: str, port: int) -> str:
    """Return HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
