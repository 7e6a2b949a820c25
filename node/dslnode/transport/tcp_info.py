"""The kernel's counters of this process's TCP connections (Linux's ``TCP_INFO``), and their keepalive probes.

gRPC does not say what HTTP/2, TLS, resent segments and acknowledgements cost; the kernel does. The offsets are those
of ``struct tcp_info`` in Linux's ``include/uapi/linux/tcp.h``, which only ever grows at its end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dslnode.name_lookup import host_of

_OFFSETS = {"bytes_received": 128, "segments_out": 136, "segments_in": 140, "bytes_sent": 200, "bytes_resent": 208}
_INFO_BYTES = 216
_TCP_HEADER = 20 + 12  # with the timestamp option
MAX_DESCRIPTORS = 65_536
"""So many are tried where the list of them cannot be read: a hundredth of a second."""
_IP_HEADERS = {socket.AF_INET: 20, socket.AF_INET6: 40}


@dataclass(frozen=True)
class TcpConnection:
    """A TCP connection and what it cost so far."""

    remote: tuple[str, int]  # host and port of the other side
    sent: int  # bytes with TCP and IP headers
    received: int  # bytes with TCP and IP headers
    resent: int = 0  # bytes without headers, included in ``sent``
    inode: int = 0  # of the socket: tells connections of one process apart
    segments_received: int = 0  # with the kernel's keepalive probes and their answers


@dataclass(frozen=True)
class KeepaliveProbes:
    """When the kernel probes whether the other side of a connection is alive. All in seconds."""

    idle: int  # silence before the first probe
    interval: int  # between two probes
    lost: float  # without answer or acknowledgement before the connection is lost


def tcp_connections() -> list[TcpConnection]:
    """Return this process's TCP connections; empty where the kernel does not count (not Linux)."""
    if not sys.platform.startswith("linux"):
        return []
    examined = (_examine(descriptor) for descriptor in _sockets())
    return [connection for connection in examined if connection is not None]


def set_keepalive(inode: int, probes: KeepaliveProbes) -> None:
    """Set the keepalive probes of the connection whose socket has this inode, if it is still open."""
    for descriptor in _sockets():
        with contextlib.suppress(OSError), _borrowed(descriptor) as connection:
            if os.fstat(descriptor).st_ino == inode:
                _set_probes(connection, probes)
                return


def _set_probes(connection: socket.socket, probes: KeepaliveProbes) -> None:
    for option, value in (
        (socket.TCP_USER_TIMEOUT, round(1_000 * probes.lost)),
        (socket.TCP_KEEPINTVL, probes.interval),
        (socket.TCP_KEEPIDLE, probes.idle),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _sockets() -> list[int]:
    return [descriptor for descriptor in _descriptors() if _is_socket(descriptor)]


def _descriptors() -> Iterable[int]:
    """Return the open descriptors; all possible ones if there is none left to read the directory of them."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return range(min(os.sysconf("SC_OPEN_MAX"), MAX_DESCRIPTORS))


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Lend the socket of another owner. It needs no descriptor of its own, so it works where none is left."""
    connection = socket.socket(fileno=descriptor)
    try:
        yield connection
    finally:
        connection.detach()


def _examine(descriptor: int) -> TcpConnection | None:
    try:
        with _borrowed(descriptor) as connection:
            if connection.type != socket.SOCK_STREAM or connection.family not in _IP_HEADERS:
                return None
            address = connection.getpeername()
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            header = _IP_HEADERS[connection.family] + _TCP_HEADER
            inode = os.fstat(descriptor).st_ino
    except OSError:
        return None
    return _read_info(address, info, header, inode)


def _read_info(
    address: tuple[str, int] | tuple[str, int, int, int], info: bytes, header: int, inode: int = 0
) -> TcpConnection | None:
    if len(info) < _INFO_BYTES:
        return None
    received, sent, resent = (
        struct.unpack_from("=Q", info, _OFFSETS[f"bytes_{name}"])[0] for name in ("received", "sent", "resent")
    )
    segments_in, segments_out = (
        struct.unpack_from("=I", info, _OFFSETS[f"segments_{direction}"])[0] for direction in ("in", "out")
    )
    host = host_of(address)
    return TcpConnection(
        remote=(host, address[1]),
        sent=sent + segments_out * header,
        received=received + segments_in * header,
        resent=resent,
        inode=inode,
        segments_received=segments_in,
    )
