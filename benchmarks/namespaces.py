"""Hosts on one machine: network namespaces joined by a bridge in yet another one, made and removed here.

Every interface and address lives inside these namespaces. IPv6 is off and the address table is filled in by hand, so
that nothing but the nodes' own packets is on the wires; offloads are off, so that the counters count real packets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

INTERFACE = "eth0"
ETHERNET_HEADER = 14
OFFLOADS = ("tso", "gso", "gro")


@dataclass(frozen=True)
class Counters:
    """What the kernel counted at an interface."""

    sent_bytes: int
    sent_packets: int
    received_bytes: int
    received_packets: int

    @property
    def sent(self) -> int:
        """Bytes sent, IP headers included, Ethernet headers not."""
        return self.sent_bytes - ETHERNET_HEADER * self.sent_packets

    @property
    def received(self) -> int:
        """Bytes received, IP headers included, Ethernet headers not."""
        return self.received_bytes - ETHERNET_HEADER * self.received_packets


@dataclass(frozen=True)
class Host:
    """One namespace with an interface and an address."""

    namespace: str
    address: str
    hardware_address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What goes before a command line to run it on this host."""
        return ("ip", "netns", "exec", self.namespace)

    def counters(self) -> Counters:
        """Return what the kernel counted at the host's interface so far."""
        shown = _output("ip", "-n", self.namespace, "-s", "-j", "link", "show", INTERFACE)
        counted = json.loads(shown)[0]["stats64"]
        sent, received = counted["tx"], counted["rx"]
        return Counters(sent["bytes"], sent["packets"], received["bytes"], received["packets"])


def missing() -> str | None:
    """Return why hosts cannot be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool, package in (("ip", "iproute2"), ("ethtool", "ethtool")):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian package {package})"
    return None


class Hosts:
    """A context manager that makes ``count`` hosts on one bridge and removes them, whatever happens."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._removal = ExitStack()

    def __enter__(self) -> list[Host]:
        try:
            return self._make()
        except BaseException:
            self._removal.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._removal.close()

    def _make(self) -> list[Host]:
        bridge = self._namespace("bridge")
        _run("ip", "-n", bridge, "link", "add", "bridge", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        _run("ip", "-n", bridge, "link", "set", "bridge", "up")
        hosts = [self._host(bridge, number) for number in range(1, self._count + 1)]
        for host in hosts:
            for other in hosts:
                if other is not host:
                    _introduce(host, other)
        return hosts

    def _namespace(self, what: str) -> str:
        name = f"dslnode-bench-{os.getpid()}-{what}"
        _run("ip", "netns", "add", name)
        self._removal.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)
        for scope in ("all", "default"):
            _run("ip", "netns", "exec", name, "sysctl", "-qw", f"net.ipv6.conf.{scope}.disable_ipv6=1")
        return name

    def _host(self, bridge: str, number: int) -> Host:
        name, port = self._namespace(str(number)), f"port{number}"
        host = Host(name, f"10.99.0.{number}", f"02:00:0a:63:00:{number:02x}")
        own = ("name", INTERFACE, "netns", name, "address", host.hardware_address)
        _run("ip", "link", "add", *own, "type", "veth", "peer", "name", port, "netns", bridge)
        _switch_off_offloads(name, INTERFACE)
        _switch_off_offloads(bridge, port)
        _run("ip", "-n", bridge, "link", "set", port, "master", "bridge", "up")
        _run("ip", "-n", name, "address", "add", f"{host.address}/24", "dev", INTERFACE)
        for interface in ("lo", INTERFACE):
            _run("ip", "-n", name, "link", "set", interface, "up")
        return host


def _introduce(host: Host, other: Host) -> None:
    """Tell a host the other's hardware address, so that it need not ask (ARP)."""
    who = (other.address, "lladdr", other.hardware_address)
    _run("ip", "-n", host.namespace, "neighbour", "add", *who, "dev", INTERFACE, "nud", "permanent")


def _switch_off_offloads(namespace: str, interface: str) -> None:
    settings = [word for offload in OFFLOADS for word in (offload, "off")]
    _run("ip", "netns", "exec", namespace, "ethtool", "-K", interface, *settings)


def _run(*command: str) -> None:
    _output(*command)


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
