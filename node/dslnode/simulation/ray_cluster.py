"""Connects with a cluster of Ray, or starts one on this machine, quietly; and says what is wrong where that fails."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

from dslnode.addresses import check_address, host_and_port
from dslnode.errors import DslnodeError, SettingsError, UnreachableError
from dslnode.simulation.engines import LOCAL_CLUSTER
from dslnode.simulation.windows import ShardLost

CONNECT_SECONDS = 5.0
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
"""What Ray is told: no usage statistics, no remarks, and no pages about a lost process, which is said in a line."""


def connect(address: str, *, store_bytes: int) -> Any:
    """Connect with the cluster at HOST:PORT, or start one here if the address is ``local``; return the module ``ray``.

    A cluster that is started has a store of ``store_bytes`` for objects. Raises ``SettingsError`` if Ray is not
    installed, ``UnreachableError`` if there is no such cluster.
    """
    ray = _imported()
    if ray.is_initialized():
        return ray
    given: dict[str, Any] = {"address": address, "logging_level": "ERROR", "log_to_driver": False}
    if address == LOCAL_CLUSTER:
        given |= {"include_dashboard": False, "object_store_memory": store_bytes}
    else:
        _check(address)
    try:
        ray.init(**given)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UnreachableError(
            f"--ray-address {address}: Ray does not connect ({reason}); see whether `ray status` answers there, and "
            "whether versions of Ray and Python are the same on all machines"
        ) from error
    return ray


@contextlib.contextmanager
def explained(ray: Any) -> Iterator[None]:
    """Raise ``ShardLost`` where a call failed since its process or machine is gone, and errors of ours as they are."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, DslnodeError):
            raise cause from None
        if isinstance(cause, ray.exceptions.RayError):  # what it was handed is lost
            raise ShardLost(f"a machine is gone ({_first_line(cause)})") from error
        raise
    except ray.exceptions.RayError as error:
        raise ShardLost(f"a shard is gone ({_first_line(error)})") from error


def processors(ray: Any) -> float:
    """Return how many processors the machines of the cluster have, as far as they are there."""
    return float(sum(node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]))


def _imported() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise SettingsError("--engine ray: needs Ray; pip install 'dslnode[ray]', here and on all machines") from error
    return ray


def _check(address: str) -> None:
    """See whether anything listens there: Ray itself would try for minutes."""
    try:
        place = host_and_port(check_address(address))
        socket.create_connection(place, timeout=CONNECT_SECONDS).close()
    except ValueError as error:
        raise SettingsError(f"--ray-address {address}: is neither HOST:PORT nor {LOCAL_CLUSTER}") from error
    except OSError as error:
        raise UnreachableError(
            f"--ray-address {address}: nothing answers there ({error.strerror or error}); start a cluster with "
            "`ray start --head --port 6379` and name its address, or leave --ray-address out"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200]
