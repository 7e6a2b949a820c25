"""Starts one node from its settings and runs it to its end: what ``dslnode start`` does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys

from dslnode.config.settings import Settings
from dslnode.errors import ExitCode, ModelError, SettingsError
from dslnode.learning.learner import Learner
from dslnode.overlay.mdns import check_discovery
from dslnode.protocol.codec.mask_codec import READABLE, checksum
from dslnode.runtime.build import build_learner
from dslnode.runtime.checkpoint import NODE_ID_BYTES, StateDirectory
from dslnode.runtime.node import Node
from dslnode.security.channels import PlainChannels, TlsChannels
from dslnode.security.exposure import check_exposure
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.telemetry import logs
from dslnode.transport.handshake import INCARNATION_BYTES, NetworkFingerprint, NodeInfo


def run_node(settings: Settings) -> ExitCode:
    """Return why the node ended. Raises a ``DslnodeError`` if it cannot start."""
    log = logs.set_up(settings.log_format, settings.log_level)
    check_exposure(settings.listen, settings.peers, settings.ticket, insecure=settings.insecure)
    check_discovery(discover=settings.discover)
    tunnels = open_tunnels(settings)
    if settings.insecure:
        log.warning("insecure", why="--insecure: neighbours are not known and nothing is encrypted")
    with contextlib.ExitStack() as owned:
        state = None if settings.state_dir is None else StateDirectory(settings.state_dir)
        if state is not None:
            owned.enter_context(state.owned())
        owned.callback(lambda: None if tunnels is None else tunnels.remove())
        node_id = _node_id(state, tunnels)
        learner = build_learner(settings)
        check_network(learner, tunnels)
        if state is None:
            log.warning("nothing is kept", why="no --state-dir: a restart begins anew")
        me = node_info(settings, learner, node_id)
        channels = PlainChannels(anywhere=settings.insecure) if tunnels is None else TlsChannels(tunnels)
        return asyncio.run(_run(Node(settings, learner, me, state, log, channels=channels), tunnels))


def open_tunnels(settings: Settings) -> TlsTunnels | None:
    """Return the ways of a node that has a ticket, None if it has none; ``SettingsError`` if it cannot be used."""
    if settings.ticket is None:
        if settings.revoked is not None:
            raise SettingsError("--revoked needs a --ticket: without one nobody's certificate is looked at")
        return None
    from dslnode.security.credentials import Credentials

    credentials = Credentials(settings.ticket, settings.revoked)
    if settings.name != credentials.identity.name:
        raise SettingsError(
            f"name = {settings.name!r}, but {settings.ticket} is the ticket of {credentials.identity.name!r}; "
            "leave --name out"
        )
    return TlsTunnels(credentials)


def check_network(learner: Learner, tunnels: TlsTunnels | None) -> None:
    """Raise ``ModelError`` if the ticket names the frozen network of the run, and this node has built another."""
    expected = "" if tunnels is None else tunnels.credentials.ticket.fingerprint
    if expected and expected != learner.fingerprint.hex():
        raise ModelError(
            f"this node builds the frozen network {learner.fingerprint.hex()}, its ticket asks for {expected}; "
            "start it with the --model, --seed and shape of --data that the ticket was made for"
        )


def _node_id(state: StateDirectory | None, tunnels: TlsTunnels | None) -> bytes:
    if tunnels is not None:
        return tunnels.credentials.identity.node_id
    return secrets.token_bytes(NODE_ID_BYTES) if state is None else state.node_id()


async def _run(daemon: Node, tunnels: TlsTunnels | None) -> ExitCode:
    code = await daemon.run()
    if daemon.busy:  # a long step of a large model: its result is not wanted, and what is on disk is whole
        if tunnels is not None:
            tunnels.remove()
        sys.stderr.flush()
        os._exit(code)
    return code


def node_info(settings: Settings, learner: Learner, node_id: bytes) -> NodeInfo:
    """Return what this process says of itself to every neighbour."""
    layout = learner.layout
    facts = NetworkFingerprint(
        fingerprint=learner.fingerprint,
        layout=layout.digest,
        layers=len(layout.layers),
        weights=layout.size,
        seed=settings.seed,
        scores=learner.network.score_layout.size,
    )
    incarnation = secrets.token_bytes(INCARNATION_BYTES)
    return NodeInfo(
        run_id=settings.run_id,
        node_id=node_id,
        incarnation=incarnation,
        name=settings.name,
        advertise=settings.advertise,
        model=facts,
        exchange=settings.exchange.value,
        codecs=READABLE,
        start=checksum(learner.start.to_bytes()),
        members=True,
    )
