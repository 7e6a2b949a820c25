"""Looks at this machine and its network for ``dslnode doctor``: addresses, ports, names, clock, disk, memory."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dslnode.addresses import WILDCARDS, bracketed, host_and_port
from dslnode.cli.doctor.host_checks import Clock, Disk, Peer, Port
from dslnode.errors import UnreachableError
from dslnode.v1 import node_pb2 as pb

Ask = Callable[[str], pb.StatusReply]
SIOCGIFADDR = 0x8915
TIME_ERROR = 5  # adjtimex: the clock is not synchronised
TIMEX_BYTES = 256  # more than struct timex takes anywhere
TRIAL_BYTES = 4 << 20
AT_ONCE = 16


def look_at_port(setting: str, address: str, ask: Ask | None) -> Port:
    """Try to bind the address; if it is taken, find out by whom. ``ask`` is for ports where a node would answer."""
    host, port = host_and_port(address)
    try:
        where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(where[0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server: old connections do not matter
            probe.bind(where[4])
            probe.listen()  # Linux lets two bind with this option, but only one listen
    except OSError as error:
        node = _node_at(host, port, ask)
        return Port(setting, address, error.strerror or str(error), _holder(port), node)
    return Port(setting, address)


def _node_at(host: str, port: int, ask: Ask | None) -> str:
    at = WILDCARDS.get(host, host)
    try:
        return "" if ask is None else ask(bracketed(at, port)).name
    except UnreachableError:
        return ""


def _holder(port: int) -> str:
    """Return the process that listens on a TCP port, as far as this user may see; Linux only."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(Path(table)).splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for number in (entry for entry in Path("/proc").glob("[0-9]*") if inodes):
        try:
            if any(os.readlink(one) in inodes for one in (number / "fd").iterdir()):
                return f"{_read(number / 'comm').strip()} (process {number.name})"
        except OSError:
            continue  # another user's, or gone meanwhile
    return ""


def own_addresses() -> tuple[str, ...] | None:
    """Return this machine's addresses that are not loopback or link-local; None where the system does not tell."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                reply = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has no IPv4 address
            found.append(socket.inet_ntoa(reply[20:24]))
    for line in _read(Path("/proc/net/if_inet6")).splitlines():
        digits, _, _, scope, *_ = line.split()
        if scope == "00":
            found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)))
    return tuple(one for one in found if not one.startswith("127."))


def look_at_peers(addresses: Sequence[str], ask: Ask) -> tuple[Peer, ...]:
    """Resolve and ask all peers, several at a time."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return tuple(threads.map(lambda address: _look_at_peer(address, ask), addresses))


def _look_at_peer(address: str, ask: Ask) -> Peer:
    host, port = host_and_port(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Peer(address, unresolved=getattr(error, "strerror", None) or str(error))
    resolved = tuple(dict.fromkeys(str(where[0]) for *_, where in found if str(where[0]) != host))
    began = time.time()
    try:
        reply = ask(address)
    except UnreachableError as error:
        return Peer(address, resolved, problem=str(error))
    ahead = reply.clock - (began + time.time()) / 2 if reply.clock else None
    return Peer(address, resolved, reply=reply, ahead=ahead)


def look_at_clock(state_dir: Path | None) -> Clock:
    """Ask the kernel whether its clock is synchronised; compare the clock with the times of the node's own files."""
    files = [Path(__file__), *(state_dir.glob("*") if state_dir is not None else ())]
    newest = max((_changed(file) for file in files), default=0.0)
    return Clock(_is_synchronised(), max(0.0, newest - time.time()))


def _is_synchronised() -> bool | None:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None  # no Linux
    return None if state < 0 else bool(state != TIME_ERROR)


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def look_at_disk(state_dir: Path | None) -> Disk | None:
    """Write a trial file of 4 MiB to the state directory, flush it to the disk, remove it.

    A directory that is not there yet is not made, for the node may run as another user: its parent is tried.
    """
    if state_dir is None:
        return None
    place = next(one for one in (state_dir.absolute(), *state_dir.absolute().parents) if one.exists())
    try:
        free = shutil.disk_usage(place).free
        with tempfile.NamedTemporaryFile(dir=place, prefix="doctor-") as trial:
            began = time.monotonic()
            trial.write(os.urandom(min(TRIAL_BYTES, free // 2)))
            trial.flush()
            os.fsync(trial.fileno())
            speed = trial.tell() / max(1e-6, time.monotonic() - began)
    except OSError as error:
        return Disk(str(state_dir), problem=f"cannot be written ({error.strerror})")
    return Disk(str(state_dir), free, speed)


def available_memory() -> int | None:
    """Return the bytes that this process can still get, by the system or by its control group, whichever is less."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    limits = [int(found[1]) * 1024] if found else []
    group = Path("/sys/fs/cgroup")
    most, used = (_read(group / name).strip() for name in ("memory.max", "memory.current"))
    if most.isdigit() and used.isdigit():
        limits.append(max(0, int(most) - int(used)))
    return min(limits, default=None)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
