"""The settings of a node in its network: name, addresses, neighbours, rounds, limits, log."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from dslnode.addresses import check_address
from dslnode.config.quantities import parse_cap, parse_hours
from dslnode.config.serving_limits import DEFAULT_LIMITS
from dslnode.config.types import Addresses, SettingsGroup


def _host_name() -> str:
    return socket.gethostname()


class NodeSettings(SettingsGroup):
    """Identity, network, rounds, limits of training, and log."""

    name: str = Field(
        default_factory=_host_name,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of this node in logs and metrics. Default: the host's name.",
    )
    run_id: str = Field(
        "default",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of the run; nodes of different runs refuse each other.",
    )
    listen: str = Field(
        "127.0.0.1:7711",
        description="HOST:PORT to accept neighbours on. To accept other machines needs a ticket, or --insecure.",
    )
    advertise: str = Field(
        "",
        description="HOST:PORT at which neighbours can dial this node. Default: empty, no address is announced.",
    )
    peers: Addresses = Field((), max_length=100, description="HOST:PORT,HOST:PORT,... of neighbours to dial.")
    max_neighbours: int = Field(
        16,
        ge=0,
        le=100,
        description="Upper bound of neighbours, not counting those that hold the network together; nodes that "
        "neighbours announce are dialled. 0: only --peers are.",
    )
    discover: bool = Field(
        False,
        description="Announce this node on the local network (multicast DNS) and dial others of the run found there. "
        "Needs the package zeroconf.",
    )
    metrics: str = Field("127.0.0.1:9464", description="HOST:PORT to serve Prometheus metrics on; 'off' serves none.")
    metrics_token_file: Path | None = Field(
        None,
        description="File with a token of 16 characters or more that readers of metrics and status must send (as "
        "bearer token, or as the password). Default: none, everybody who reaches --metrics may read.",
    )
    state_dir: Path | None = Field(
        None,
        description="Directory for the state that survives restarts. Default: none, a restart loses what was learned.",
    )
    checkpoint_every: int = Field(
        1,
        ge=1,
        lt=2**31,
        description="Rounds between two checkpoints of the state; a restart continues from the last one.",
    )

    ticket: Path | None = Field(
        None,
        description="File made by `dslnode ca issue`: name, key and certificate of the node, and settings that all "
        "other sources override. Default: none; the node talks unencrypted, on this machine only.",
    )
    allow_code_from_ticket: bool = Field(
        False,
        description="Let the ticket choose code (module:function) as data or model. A ticket cannot set this itself.",
    )
    revoked: Path | None = Field(
        None,
        description="The authority's list of revoked certificates; read again when it changes. "
        "Default: revoked.pem beside the ticket, if there is one.",
    )
    insecure: bool = Field(
        False, description="Talk with other machines without a ticket: anybody can read, join and send false masks."
    )

    rounds: int = Field(0, ge=0, lt=2**31, description="Rounds to do in all; 0: until stopped.")
    wait_for_peers: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Seconds to wait for as many neighbours as there are peers before the first round. "
        "0: start at once, alone if need be.",
    )
    round_deadline: float = Field(
        10.0,
        gt=0,
        le=86_400,
        description="Upper bound of the seconds that a round waits for neighbours after local training; it waits less "
        "once it has measured how long they take.",
    )
    max_lead: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="Rounds without a mask from a connected neighbour after which each round waits for it up to the "
        "round deadline. 0: rounds never wait for slow ones.",
    )
    max_staleness: int = Field(10, ge=0, description="Rounds for which a silent neighbour's mask is still used.")
    evaluate_every: int = Field(5, ge=1, description="Rounds between two measurements of the held-out score.")
    data_cap: str = Field(
        "",
        description="Upper bound of bytes sent and received, as 50MB/day (B, kB, MB, GB, KiB, MiB, GiB; per hour, day "
        "or month, UTC); exchanges are spaced to stay inside. Default: no cap.",
    )
    threads: int = Field(1, ge=1, le=1024, description="Processor threads for training.")
    nice: int = Field(0, ge=0, le=19, description="Niceness of training; larger: other programs come first.")

    serve: str = Field(
        "",
        description="HOST:PORT to answer predictions on over HTTP, with the best model. Beyond this machine it needs "
        "--serve-token-file or --serve-tls. Default: empty, none are answered. Needs the package h11.",
    )
    serve_token_file: Path | None = Field(
        None,
        description="File with a token of 16 characters or more that clients of --serve must send, not readable by "
        "all users. Default: none.",
    )
    serve_tls: bool = Field(
        False, description="Serve predictions with mutual TLS: clients need a ticket of this node's authority."
    )
    serve_max_body: int = Field(
        DEFAULT_LIMITS.body_bytes, ge=1, le=2**30, description="Upper bound of the bytes of a message to --serve."
    )
    serve_max_header: int = Field(
        DEFAULT_LIMITS.head_bytes,
        ge=1_024,
        le=2**20,
        description="Upper bound of the bytes of a request's head to --serve.",
    )
    serve_max_rows: int = Field(
        DEFAULT_LIMITS.rows, ge=1, le=2**24, description="Upper bound of the rows of a message to --serve."
    )
    serve_max_clients: int = Field(
        DEFAULT_LIMITS.clients,
        ge=1,
        le=1_000,
        description="Upper bound of open connections to --serve; each takes a thread.",
    )
    serve_timeout: float = Field(
        DEFAULT_LIMITS.seconds,
        gt=0,
        le=3_600,
        description="Upper bound of the seconds that a request to --serve may take to come, or waits for others.",
    )

    max_temperature: float | None = Field(
        None,
        gt=0,
        le=150,
        description="Train only while the hottest sensor shows at most this many degrees Celsius. Default: no limit.",
    )
    max_load: float | None = Field(
        None, gt=0, description="Train only while the load of the last minute is at most this. Default: no limit."
    )
    min_battery: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Train only while the battery is charged to at least this many percent. Default: no limit.",
    )
    only_between: str = Field("", description="Train only in these hours, local time, as 22:00-06:00. Default: always.")
    log_format: Literal["text", "json"] = Field("text", description="Log for people (text) or machines (json).")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log shown.")

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        return check_address(value)

    @field_validator("advertise", "serve")
    @classmethod
    def _address_if_any(cls, value: str) -> str:
        return check_address(value) if value else value

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, value: str) -> str:
        return value if value == "off" else check_address(value)

    @field_validator("data_cap")
    @classmethod
    def _data_cap(cls, value: str) -> str:
        if value:
            parse_cap(value)
        return value

    @field_validator("only_between")
    @classmethod
    def _only_between(cls, value: str) -> str:
        if value:
            parse_hours(value)
        return value

    @field_validator("peers")
    @classmethod
    def _peers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(check_address(peer) for peer in value))

    @field_validator("state_dir", mode="before")
    @classmethod
    def _state_dir(cls, value: object) -> object:
        if value == "":
            raise ValueError("is empty; name a directory, or leave the setting out")
        return value
