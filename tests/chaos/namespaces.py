"""Network namespaces with names of our own: made, entered by one thread, removed whatever happens. Needs root."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
TAP_WITHOUT_HEADER = 0x0002 | 0x1000
PREFIX = "dslnode-chaos"
DEVICE = "wire"
_c = ctypes.CDLL(None, use_errno=True)


def missing() -> str | None:
    """Return what this machine lacks for namespaces and TAP devices, None if nothing."""
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    if shutil.which("ip") is None:
        return "needs ip (of the package iproute2)"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    return None


@contextlib.contextmanager
def made(count: int) -> Iterator[list[str]]:
    """Make namespaces with loopback up; remove them, and those of runs that were killed."""
    remove_left_behind()
    names = [f"{PREFIX}-{os.getpid()}-{index}" for index in range(count)]
    with contextlib.ExitStack() as ending:
        for name in names:
            _ip("netns", "add", name)
            ending.callback(_ip, "netns", "delete", name)
            _ip("-n", name, "link", "set", "lo", "up")
        yield names


def remove_left_behind() -> None:
    """Remove namespaces of ours whose maker does not live any more."""
    for path in Path("/run/netns").glob(f"{PREFIX}-*-*"):
        maker = path.name.split("-")[-2]
        if not Path("/proc", maker).exists():
            _ip("netns", "delete", path.name)


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """Let this thread open devices and sockets in a namespace; what it opened stays there."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{name}", "rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def open_tap(name: str, address: str) -> int:
    """Return the file of a new TAP device in a namespace, up with this address (as ``10.9.0.1/24``)."""
    with entered(name):
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), TAP_WITHOUT_HEADER))
    _ip("-n", name, "address", "add", address, "dev", DEVICE)
    _ip("-n", name, "link", "set", DEVICE, "up")
    return file


def _enter(file: int) -> None:
    if _c.setns(file, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=30)
