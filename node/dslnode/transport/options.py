"""gRPC settings of both ends: small message limits, dead peers noticed by keep-alive."""

from __future__ import annotations

from dslnode.codec import CHUNK_BYTES

MESSAGE_BYTES = CHUNK_BYTES + 1024

CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.http2.bdp_probe", 0),
]
"""``bdp_probe`` off: gRPC would send pings with every mask to size its window."""

SERVER_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.bdp_probe", 0),
]
"""``so_reuseport`` off: a port that is taken must be an error, not a second listener."""
