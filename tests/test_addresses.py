"""Addresses of nodes: which zones of IPv6 are taken, how gRPC reads them, and which are not told to others."""

from __future__ import annotations

import pytest

from dslnode.addresses import announceable, bracketed, check_address, grpc_address, host_and_port, is_loopback

ZONES = ["eth0", "eth0.100", "br-1a2b", "wlan0", "2", "veth@if3", "enp0s31f6", "x" * 15]


@pytest.mark.parametrize("zone", ZONES)
def test_a_zone_is_a_part_of_the_host(zone: str) -> None:
    address = f"[fe80::1%{zone}]:7711"
    assert check_address(address) == address
    assert host_and_port(address) == (f"fe80::1%{zone}", 7711)
    assert bracketed(*host_and_port(address)) == address


@pytest.mark.parametrize("host", ["[fe80::1%]", "[fe80::1%a b]", "[fe80::1%a%b]", "[fe80::1%a/b]", "fe80%eth0", "a%b"])
def test_what_is_no_zone_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        check_address(f"{host}:7711")


def test_a_zone_is_at_most_as_long_as_a_name_of_an_interface() -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        check_address(f"[fe80::1%{'x' * 16}]:1")


def test_grpc_is_given_the_zone_encoded() -> None:
    assert grpc_address("fe80::1%eth0.100", 7) == "[fe80::1%25eth0.100]:7"
    assert grpc_address("::1", 7) == "[::1]:7"
    assert grpc_address("10.0.0.1", 7) == "10.0.0.1:7"


def test_link_local_addresses_are_told_to_nobody() -> None:
    for address in ("[fe80::1%eth0]:7711", "[fe80::1]:7711"):
        assert announceable(address) == ""
    for address in ("", "[fd00::2]:7711", "169.254.0.1:1", "board-7:7711", "no address"):
        assert announceable(address) == address


def test_a_zone_does_not_hide_loopback() -> None:
    assert is_loopback("[::1%lo]")
