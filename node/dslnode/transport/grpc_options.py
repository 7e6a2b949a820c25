"""gRPC options of both sides: small message limits, keepalive pings."""

from __future__ import annotations

import sys

from dslnode.protocol.codec.mask_codec import CHUNK_BYTES

MESSAGE_BYTES = CHUNK_BYTES + 1024
MAX_CONNECTIONS = 400
"""Connections that gRPC serves at once. Behind TLS the listener in front of it allows fewer."""
DESCRIPTORS_PER_CONNECTION = 4
"""Of so many file descriptors that the process may open, one is for a connection that gRPC accepts."""
HANDSHAKE_MS = 5_000
IDLE_MS = 2_000
"""A connection without a call ends after so long. Links are calls, so this never ends one."""
KERNEL_PROBES = sys.platform.startswith("linux")
"""Whether the kernel's probes notice lost peers (``keepalive``), at less cost. Then HTTP/2 pings are rare."""
DIALER_PING_MS, SERVER_PING_MS = (120_000, 150_000) if KERNEL_PROBES else (15_000, 20_000)

CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", DIALER_PING_MS),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.http2.bdp_probe", 0),
]
"""``bdp_probe`` is off: gRPC would send pings with every mask to size its window."""

_SERVER_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", SERVER_PING_MS),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ("grpc.max_connection_idle_ms", IDLE_MS),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.bdp_probe", 0),
]
"""``so_reuseport`` is off: a port that is taken must be an error, not a second listener."""


def server_options(descriptors: int) -> list[tuple[str, int]]:
    """Return the options of a server in a process that may open so many file descriptors."""
    connections = max(1, min(MAX_CONNECTIONS, descriptors // DESCRIPTORS_PER_CONNECTION))
    return [*_SERVER_OPTIONS, ("grpc.max_allowed_incoming_connections", connections)]


def descriptor_limit() -> int:
    """Return how many file descriptors this process may open, as far as the system says."""
    try:
        import resource
    except ImportError:  # not Unix
        return MAX_CONNECTIONS * DESCRIPTORS_PER_CONNECTION
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_CONNECTIONS * DESCRIPTORS_PER_CONNECTION if limit == resource.RLIM_INFINITY else limit
