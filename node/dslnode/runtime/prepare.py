"""What a node needs before it can be composed: identity, state directory, learner; checked in the order of cost."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dslnode import __version__
from dslnode.addresses import announceable
from dslnode.config.settings import Settings
from dslnode.data.agreement import DataAgreement
from dslnode.errors import ModelError, SettingsError
from dslnode.inference.model_file import read_model
from dslnode.inference.model_header import Description
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model
from dslnode.learning.parameter_roles import Role, parameter_roles
from dslnode.learning.warm_start import begin_from as begin_from_file
from dslnode.overlay.mdns import check_discovery
from dslnode.protocol.codec.mask_codec import READABLE, checksum
from dslnode.runtime.build import build_alone, build_learner
from dslnode.runtime.checkpoint import NODE_ID_BYTES, StateDirectory
from dslnode.runtime.directory_owner import exposure
from dslnode.runtime.predictions import check_can_answer, check_serving
from dslnode.security.channels import ChannelProvider, PlainChannels, TlsChannels
from dslnode.security.exposure import check_exposure
from dslnode.security.socket_directory import remove_stale_directories
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.telemetry.http_access import read_token
from dslnode.telemetry.logs import Logger
from dslnode.transport.handshake import INCARNATION_BYTES, NetworkFingerprint, NodeInfo

if TYPE_CHECKING:  # it loads ``cryptography``, which a node without a ticket does not need
    from dslnode.security.member_signature import MemberSignatures

NAMES_SHOWN = 10
"""Parameters of a model that the log names, of each role."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a node is made of, before anything of it runs."""

    settings: Settings
    learner: Learner
    description: Description
    node_info: NodeInfo
    state: StateDirectory | None
    channels: ChannelProvider
    signatures: MemberSignatures | None = None
    metrics_token: str | None = None
    alone: Learner | None = None


def prepare(
    settings: Settings, *, resources: contextlib.ExitStack, log: Logger, begin_from: Path | None = None
) -> Prepared:
    """Return it; what must be given back in the end is pushed on ``resources``.

    Where no state is saved, the learner begins with the model in the file ``begin_from``, if there is one.
    Raises the ``DslnodeError`` that names the fault. Takes seconds where data and model are large.
    """
    check_exposure(settings.listen, settings.peers, settings.ticket, insecure=settings.insecure)
    check_discovery(discover=settings.discover)
    check_serving(settings)
    token = None if settings.metrics_token_file is None else read_token(settings.metrics_token_file)
    tunnels = open_tunnels(settings)
    if settings.insecure:
        log.warning("insecure", why="--insecure: neighbours are not known and nothing is encrypted")
    state = _hold_directories(settings, tunnels, resources=resources, log=log)
    node_id = _node_id(state, tunnels)
    learner = build_learner(settings)
    for note in learner.data.notes:
        log.info("data", found=note)
    check_network(learner, tunnels)
    description = _described(learner, settings)
    if settings.serve:
        check_can_answer(description)
    log.info("model", **model_line(learner))
    if begin_from is not None:
        _warm_start(learner, description, begin_from, state, log)
    if state is None:
        log.warning("no state directory", why="no --state-dir: a restart loses what was learned")
    channels = PlainChannels(anywhere=settings.insecure) if tunnels is None else TlsChannels(tunnels)
    if settings.advertise and not announceable(settings.advertise):
        log.warning("not announced", advertise=settings.advertise, why="a link-local address holds on one link only")
    info = node_info(settings, learner, node_id)
    return Prepared(
        settings=settings,
        learner=learner,
        node_info=info,
        state=state,
        channels=channels,
        signatures=_signatures(tunnels, settings.run_id),
        metrics_token=token,
        alone=build_alone(settings, learner),
        description=description,
    )


def _hold_directories(
    settings: Settings, tunnels: TlsTunnels | None, *, resources: contextlib.ExitStack, log: Logger
) -> StateDirectory | None:
    """Take the state directory and that of the tunnels' sockets until ``resources`` close; return the first, if any."""
    if tunnels is not None:
        resources.callback(tunnels.remove)
    state = None if settings.state_dir is None else StateDirectory(settings.state_dir)
    if state is not None:
        resources.enter_context(state.owned())
        log_directory(state, log)
    if tunnels is not None:  # after the state directory is made: it is the last resort
        remove_stale_directories(tunnels.parents)
        tunnels.open_directory()
    return state


def _warm_start(
    learner: Learner, description: Description, file: Path, state: StateDirectory | None, log: Logger
) -> None:
    model = read_model(file)
    if state is not None and state.peek() is not None:
        log.info("saved state taken", why=f"--from {file} is for a node that has none")
        return
    implied = begin_from_file(learner, description, model)
    log.info("begins with a model", file=str(file), round=model.round, node=model.description.node, implied=implied)


def _described(learner: Learner, settings: Settings) -> Description:
    """Return what the node's models have in common."""
    return describe_model(
        learner, model=settings.model, run_id=settings.run_id, node=settings.name, made_by=f"dslnode {__version__}"
    )


def _signatures(tunnels: TlsTunnels | None, run_id: str) -> MemberSignatures | None:
    """Return what signs and checks member records; None without a ticket, where nobody can."""
    if tunnels is None:
        return None
    from dslnode.security.member_signature import MemberSignatures

    return MemberSignatures(tunnels.credentials, run_id)


def log_directory(state: StateDirectory, log: Logger) -> None:
    """Log what a state directory that is held lacks: protection from others, or functions of its file system."""
    if exposed := exposure(state.path):
        log.warning("state directory open to others", why=exposed, remedy=f"chmod 700 {state.path}")
    for limit in state.limits:
        log.warning("state directory on a simple file system", why=f"{state.path}: {limit}")


def open_tunnels(settings: Settings) -> TlsTunnels | None:
    """Return the tunnels of a node that has a ticket, else None; ``SettingsError`` if the ticket cannot be used."""
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
    return TlsTunnels(credentials, settings.state_dir)


def model_line(learner: Learner) -> dict[str, str]:
    """Return which parameters of the model are masked, which not and why, for the log; of many, the first ones."""
    roles = parameter_roles(learner.network.model)
    masked = [role.name for role in roles if role.role is Role.MASKED]
    others = {kind: [f"{r.name}: {r.reason}" for r in roles if r.role is kind] for kind in (Role.LOCAL, Role.FIXED)}
    listed = {"masked": masked, "trained_locally": others[Role.LOCAL], "fixed": others[Role.FIXED]}
    return {kind: _first(names) for kind, names in listed.items() if names}


def _first(names: list[str]) -> str:
    more = f", and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def check_network(learner: Learner, tunnels: TlsTunnels | None) -> None:
    """Raise ``ModelError`` if the ticket names the frozen network of the run, and this node has built another."""
    expected = "" if tunnels is None else tunnels.credentials.ticket.fingerprint
    if expected and expected != learner.fingerprint.hex():
        raise ModelError(
            f"this node builds the frozen network {learner.fingerprint.hex()}, its ticket asks for {expected}; "
            "start it with the --model, --seed and shape of --data that the ticket was made for"
        )


def node_info(settings: Settings, learner: Learner, node_id: bytes) -> NodeInfo:
    """Return what this process says of itself to every neighbour."""
    layout = learner.layout
    fingerprint = NetworkFingerprint(
        fingerprint=learner.fingerprint,
        layout=layout.digest,
        layers=len(layout.layers),
        weights=layout.size,
        seed=settings.seed,
        scores=learner.network.score_layout.size,
    )
    return NodeInfo(
        run_id=settings.run_id,
        node_id=node_id,
        incarnation=secrets.token_bytes(INCARNATION_BYTES),
        name=settings.name,
        advertise=settings.advertise,
        model=fingerprint,
        exchange=settings.exchange.value,
        codecs=READABLE,
        start=checksum(learner.initial_mask.to_bytes()),
        members=True,
        data=DataAgreement.of(learner.data),
    )


def _node_id(state: StateDirectory | None, tunnels: TlsTunnels | None) -> bytes:
    if tunnels is not None:
        return tunnels.credentials.identity.node_id
    return secrets.token_bytes(NODE_ID_BYTES) if state is None else state.node_id()
