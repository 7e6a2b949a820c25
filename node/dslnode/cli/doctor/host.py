"""The machine: ports, addresses, clock, disk and memory. Probes gather the facts, checks turn them into findings."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from dslnode.addresses import WILDCARDS, bracketed, host_and_port
from dslnode.cli.doctor.findings import Finding, ok, problem, warning
from dslnode.cli.formatting import si_amount
from dslnode.errors import UnreachableError
from dslnode.name_lookup import resolve_own_blocking
from dslnode.runtime.directory_owner import blocked_names, exposure
from dslnode.security.socket_directory import make_socket_directory, parent_directories
from dslnode.v1 import node_pb2 as pb

AskStatus = Callable[[str], pb.StatusReply]

MAX_FILE_LEAD_SECONDS = 60.0
"""How much newer than the clock a file may be before the clock counts as wrong."""
ADJTIMEX_TIME_ERROR = 5  # adjtimex's answer when the clock is not synchronised
TIMEX_BYTES = 256  # more than struct timex takes on any platform
TEST_FILE_BYTES = 4 << 20
CONTROL_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class PortFacts:
    """An address to serve on: why it cannot be bound, and which process or node holds it."""

    setting: str  # listen, metrics or serve
    address: str
    problem: str = ""  # empty if the address is free
    holder: str = ""  # name and id of the process that listens there
    node: str = ""  # name of the dslnode that answers there


@dataclass(frozen=True)
class ClockFacts:
    """Whether the clock follows a time server (None: unknown), and seconds that own files are newer than it."""

    synchronised: bool | None
    file_lead_seconds: float = 0.0


@dataclass(frozen=True)
class DiskFacts:
    """The state directory: free bytes, and bytes per second that reach the disk, measured with a test file."""

    path: str
    free_bytes: int = 0
    bytes_per_second: float = 0.0
    problem: str = ""


def probe_port(setting: str, address: str, ask_status: AskStatus | None) -> PortFacts:
    """Try to bind an address; if it is taken, find out by whom. ``ask_status`` is for ports of nodes."""
    host, port = host_and_port(address)
    try:
        endpoint = resolve_own_blocking(address)
        with socket.socket(endpoint.family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server: old connections do not matter
            probe.bind(endpoint.socket_address)
            probe.listen()  # Linux lets two bind with this option, but only one listen
    except OSError as error:
        node = _node_at(host, port, ask_status)
        return PortFacts(setting, address, error.strerror or str(error), _port_holder(port), node)
    return PortFacts(setting, address)


def _node_at(host: str, port: int, ask_status: AskStatus | None) -> str:
    address = bracketed(WILDCARDS.get(host, host), port)
    try:
        return "" if ask_status is None else ask_status(address).name
    except UnreachableError:
        return ""


def _port_holder(port: int) -> str:
    """Return the process that listens on a TCP port; empty if this user may not see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            is_listener = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if is_listener and connection.pid is not None:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass  # another user's process, or it has ended meanwhile
    return ""


def check_port(port: PortFacts, name: str) -> Finding:
    """Check that an address is free, or held by this very node."""
    option = f"--{port.setting}"
    if port.node == name:
        return ok(port.setting, f"{port.address}: this node is running there")
    if port.node:
        fix = f"give each node a port of its own with {option}"
        return problem(port.setting, f"{port.address} is taken by the dslnode {port.node!r}", fix)
    if port.problem:
        holder = f": it is held by {port.holder}" if port.holder else ""
        fix = f"end what holds it, or choose an address of this machine with {option} HOST:PORT"
        return problem(port.setting, f"{port.address} cannot be bound{holder} ({port.problem})", fix)
    return ok(port.setting, f"{port.address} is free")


def own_addresses() -> tuple[str, ...]:
    """Return this machine's IP addresses without loopback, and without those of IPv6 that hold on one link only."""
    addresses = [
        ipaddress.ip_address(entry.address.partition("%")[0])
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in {socket.AF_INET, socket.AF_INET6}
    ]
    return tuple(
        str(address)
        for address in addresses
        if not address.is_loopback and not (address.version == 6 and address.is_link_local)
    )


def probe_clock(state_dir: Path | None) -> ClockFacts:
    """Ask the kernel whether its clock is synchronised; compare the clock with the times of the node's own files."""
    files = [Path(__file__), *(state_dir.glob("*") if state_dir is not None else ())]
    newest = max((_modified(file) for file in files), default=0.0)
    return ClockFacts(_is_clock_synchronised(), max(0.0, newest - time.time()))


def _is_clock_synchronised() -> bool | None:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None  # not Linux
    return None if state < 0 else bool(state != ADJTIMEX_TIME_ERROR)


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def check_clock(clock: ClockFacts) -> Finding:
    """Check the clock. Nothing in the protocol needs the time of day; certificates and logs do."""
    fix = "set the clock, or run a time service such as systemd-timesyncd or chrony"
    if clock.file_lead_seconds > MAX_FILE_LEAD_SECONDS:
        what = f"files of this node are {clock.file_lead_seconds:,.0f} s newer than the clock"
        return problem("clock", what, fix)
    if clock.synchronised is False:
        return warning("clock", "the system says that its clock follows no time server", fix)
    state = "follows a time server" if clock.synchronised else "is not older than the node's files"
    return ok("clock", f"the clock {state}")


def check_sockets(state_dir: Path | None) -> Finding | None:
    """Return a problem if a node with a ticket finds no directory for its Unix sockets."""
    try:
        make_socket_directory(parent_directories(state_dir)).close()
    except OSError as error:
        return problem("sockets", str(error), "set TMPDIR, or make /tmp writable")
    return None


def probe_disk(state_dir: Path | None) -> DiskFacts | None:
    """Write a test file of 4 MiB to the state directory, flush it to the disk and remove it; None without directory.

    A directory that does not exist is not made, for the node may run as another user: its parent is tried.
    """
    if state_dir is None:
        return None
    existing = next(path for path in (state_dir.absolute(), *state_dir.absolute().parents) if path.exists())
    try:
        free = shutil.disk_usage(existing).free
        with tempfile.NamedTemporaryFile(dir=existing, prefix="doctor-") as file:
            began = time.monotonic()
            file.write(os.urandom(min(TEST_FILE_BYTES, free // 2)))
            file.flush()
            os.fsync(file.fileno())
            speed = file.tell() / max(1e-6, time.monotonic() - began)
    except OSError as error:
        return DiskFacts(str(state_dir), problem=f"cannot be written ({error.strerror})")
    return DiskFacts(str(state_dir), free, speed)


def check_state_directory(state_dir: Path | None) -> Iterator[Finding]:
    """Check that no other user can reach the state, and that nothing has taken the names of its files."""
    if state_dir is None:
        return
    for what in blocked_names(state_dir):
        yield problem("state", what, "remove it, once it is known who made it")
    if exposed := exposure(state_dir):
        yield warning("state", exposed, f"chmod 700 {state_dir}")


def check_disk(disk: DiskFacts | None, state_bytes: int | None, round_seconds: float | None) -> Finding:
    """Check that the state fits twice, as a new one is written beside the old, and that writing it is quick enough."""
    if disk is None:
        fix = "name a directory with --state-dir"
        return warning("disk", "no state directory: a restart loses what was learned", fix)
    if disk.problem:
        return problem("disk", f"{disk.path}: {disk.problem}", "choose another --state-dir, or fix its permissions")
    free = si_amount(disk.free_bytes)
    if state_bytes is None:
        return ok("disk", f"{disk.path}: {free} free, {si_amount(disk.bytes_per_second)}/s")
    if disk.free_bytes < 2 * state_bytes:
        what = f"{disk.path}: {free} free, two states take {si_amount(2 * state_bytes)}"
        return problem("disk", what, "make room, or choose another --state-dir")
    seconds = state_bytes / disk.bytes_per_second
    what = f"{disk.path}: {free} free; a state of {si_amount(state_bytes)} takes {seconds:.2f} s"
    if round_seconds is not None and seconds > round_seconds / 2:
        fix = "use a faster disk, or more steps"
        return warning("disk", f"{what}, a round's learning {round_seconds:.2f} s", fix)
    return ok("disk", what)


def available_memory() -> int:
    """Return the bytes that this process can still get, from the system or its control group, whichever is less."""
    available = psutil.virtual_memory().available
    limit, used = (_read_text(CONTROL_GROUP / name).strip() for name in ("memory.max", "memory.current"))
    if limit.isdigit() and used.isdigit():  # psutil does not know of control groups
        return min(available, max(0, int(limit) - int(used)))
    return available


def peak_memory() -> int:
    """Return the largest resident size that this process has had, in bytes; psutil tells the present one only."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _read_text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
