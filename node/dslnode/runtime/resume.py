"""What a restart must know besides the learner's arrays: the round, whose state it is, and what was paid so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dslnode.config.settings import Settings
from dslnode.errors import StateError
from dslnode.learning.learner import Learner
from dslnode.runtime.checkpoint import StateDirectory
from dslnode.telemetry.logs import Logger
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.traffic import Flow, Traffic


def snapshot(
    round_number: int,
    settings: Settings,
    fingerprint: bytes,
    network: ConnectionManager,
    members: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Return the facts of a snapshot; ``round_number`` is the one to begin with after a restart.

    ``members`` are nodes of the network, linked or not, that can be dialled.
    """
    return {
        "round": round_number,
        "run_id": settings.run_id,
        "fingerprint": fingerprint.hex(),
        "neighbours": [
            {"node_id": key, "name": link.neighbour.name, "advertise": link.neighbour.advertise}
            for key, link in network.links.items()
        ],
        "members": list(members),
        "traffic": {
            key: {"sent": _counts(traffic.sent), "received": _counts(traffic.received)}
            for key, traffic in network.traffic.items()
        },
    }


def restore(
    state: StateDirectory | None, settings: Settings, learner: Learner, network: ConnectionManager, log: Logger
) -> Mapping[str, Any] | None:
    """Let learner and network go on where the state ends; return its facts, or None if there is none.

    Raises ``StateError`` if it is damaged, of another run or of another frozen network.
    """
    if state is None or (snapshot := state.load()) is None:
        return None
    if state.fell_back:
        log.warning("older state taken", why=state.fell_back)
    check(snapshot.facts, settings, learner.fingerprint)
    learner.restore(snapshot.arrays)
    restore_traffic(snapshot.facts, network)
    log.info("resumed", round=snapshot.facts["round"])
    return snapshot.facts


def check(facts: Mapping[str, Any], settings: Settings, fingerprint: bytes) -> None:
    """Raise ``StateError`` unless the facts belong to this run and this frozen network."""
    if facts["run_id"] != settings.run_id:
        raise StateError(
            f"{settings.state_dir}: holds the state of run {facts['run_id']!r}, this is {settings.run_id!r}; "
            "choose another --state-dir or the same --run-id"
        )
    if facts["fingerprint"] != fingerprint.hex():
        raise StateError(
            f"{settings.state_dir}: holds the state of another model or seed; choose another --state-dir, "
            "or start with the --model, --data and --seed it was made with"
        )


def restore_traffic(facts: Mapping[str, Any], network: ConnectionManager) -> None:
    """Let the network count on from what was sent and received before."""
    for key, flows in facts["traffic"].items():
        network.traffic[key] = Traffic(Flow(**flows["sent"]), Flow(**flows["received"]))


def _counts(flow: Flow) -> dict[str, int]:
    return {
        "masks": flow.masks,
        "payload_bits": flow.payload_bits,
        "mask_bytes": flow.mask_bytes,
        "control_bytes": flow.control_bytes,
        "link_bytes": flow.link_bytes,
        "resent_bytes": flow.resent_bytes,
        "sign_bits": flow.sign_bits,
        "sign_bytes": flow.sign_bytes,
    }
