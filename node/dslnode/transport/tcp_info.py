"""What the kernel counted for a TCP connection of this process (Linux's ``TCP_INFO``).

gRPC does not tell what HTTP/2, TLS, resends and acknowledgements cost; the kernel knows. Offsets are those of
``struct tcp_info`` in Linux's ``include/uapi/linux/tcp.h``, which only ever grows at its end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

_OFFSETS = {"bytes_received": 128, "segments_out": 136, "segments_in": 140, "bytes_sent": 200, "bytes_resent": 208}
_INFO_BYTES = 216
_TCP_HEADER = 20 + 12  # with the timestamp option
_IP_HEADERS = {socket.AF_INET: 20, socket.AF_INET6: 40}


@dataclass(frozen=True)
class TcpConnection:
    """A TCP connection as its far end and what crossed the wire for it, in bytes with TCP and IP headers.

    ``sent`` includes ``resent``, which is without headers. ``number`` tells connections of one process apart.
    ``heard`` counts the segments that came, the kernel's own probes and answers among them.
    """

    remote: tuple[str, int]
    sent: int
    received: int
    resent: int = 0
    number: int = 0
    heard: int = 0


@dataclass(frozen=True)
class KeepaliveProbes:
    """How the kernel asks a far end that is silent for ``idle`` seconds whether it lives: every ``interval`` seconds.

    The connection is lost when nothing is answered, or acknowledged, for ``lost`` seconds.
    """

    idle: int
    interval: int
    lost: float


def connections() -> list[TcpConnection]:
    """Return this process's TCP connections; empty where the kernel does not tell (not Linux)."""
    if not sys.platform.startswith("linux"):
        return []
    found = (_examine(descriptor) for descriptor in _sockets())
    return [connection for connection in found if connection is not None]


def probe(number: int, probing: KeepaliveProbes) -> None:
    """Have the kernel probe a connection of this process in this way from now on, if it is still open."""
    for descriptor in _sockets():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as duplicate:
            if os.fstat(duplicate.fileno()).st_ino == number:
                _set_probing(duplicate, probing)
                return


def _set_probing(connection: socket.socket, probing: KeepaliveProbes) -> None:
    for option, value in (
        (socket.TCP_USER_TIMEOUT, round(1_000 * probing.lost)),
        (socket.TCP_KEEPINTVL, probing.interval),
        (socket.TCP_KEEPIDLE, probing.idle),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _sockets() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd") if _is_socket(name)]


def _is_socket(name: str) -> bool:
    try:
        return str(Path("/proc/self/fd", name).readlink()).startswith("socket:")
    except OSError:
        return False


def _examine(descriptor: int) -> TcpConnection | None:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as duplicate:
            if duplicate.type != socket.SOCK_STREAM or duplicate.family not in _IP_HEADERS:
                return None
            address = duplicate.getpeername()
            info = duplicate.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            header = _IP_HEADERS[duplicate.family] + _TCP_HEADER
            number = os.fstat(duplicate.fileno()).st_ino
    except OSError:
        return None
    return _read_info(address, info, header, number)


def _read_info(address: tuple[str, int], info: bytes, header: int, number: int = 0) -> TcpConnection | None:
    if len(info) < _INFO_BYTES:
        return None
    received, sent, resent = (
        struct.unpack_from("=Q", info, _OFFSETS[f"bytes_{way}"])[0] for way in ("received", "sent", "resent")
    )
    segments_in, segments_out = (
        struct.unpack_from("=I", info, _OFFSETS[f"segments_{way}"])[0] for way in ("in", "out")
    )
    host = address[0].removeprefix("::ffff:")
    wire = (sent + segments_out * header, received + segments_in * header)
    return TcpConnection((host, address[1]), *wire, resent, number, segments_in)
