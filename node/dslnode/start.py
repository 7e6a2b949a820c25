"""Starts one node from its settings and runs it to its end: what ``dslnode start`` does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys

from dslnode import logs
from dslnode.assembly import build_learner
from dslnode.checkpoint import NODE_ID_BYTES, StateDirectory
from dslnode.codec import READABLE, checksum
from dslnode.config import Settings
from dslnode.daemon import Daemon
from dslnode.errors import ExitCode
from dslnode.learner import Learner
from dslnode.transport.handshake import INCARNATION_BYTES, Introduction, ModelFacts


def run_node(settings: Settings) -> ExitCode:
    """Return why the node ended. Raises a ``DslnodeError`` if it cannot start."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what matters of the network is in our own log
    log = logs.set_up(settings.log_format, settings.log_level)
    with contextlib.ExitStack() as owned:
        state = None if settings.state_dir is None else StateDirectory(settings.state_dir)
        if state is not None:
            owned.enter_context(state.owned())
        node_id = secrets.token_bytes(NODE_ID_BYTES) if state is None else state.node_id()
        learner = build_learner(settings)
        if state is None:
            log.warning("nothing is kept", why="no --state-dir: a restart begins anew")
        me = introduction(settings, learner, node_id)
        return asyncio.run(_run(settings, learner, me, state, log))


async def _run(
    settings: Settings, learner: Learner, me: Introduction, state: StateDirectory | None, log: logs.Logger
) -> ExitCode:
    daemon = Daemon(settings, learner, me, state, log)
    code = await daemon.run()
    if daemon.busy:  # a long step of a large model: its result is not wanted, and what is on disk is whole
        sys.stderr.flush()
        os._exit(code)
    return code


def introduction(settings: Settings, learner: Learner, node_id: bytes) -> Introduction:
    """Return what this process says of itself to every neighbour."""
    layout = learner.layout
    facts = ModelFacts(
        fingerprint=learner.fingerprint,
        layout=layout.digest,
        layers=len(layout.layers),
        weights=layout.size,
        seed=settings.seed,
        scores=learner.network.score_layout.size,
    )
    incarnation = secrets.token_bytes(INCARNATION_BYTES)
    return Introduction(
        settings.run_id,
        node_id,
        incarnation,
        settings.name,
        settings.advertise,
        facts,
        settings.exchange.value,
        READABLE,
        checksum(learner.start.to_bytes()),
    )
