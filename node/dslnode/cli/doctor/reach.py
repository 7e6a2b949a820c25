"""The network: configured peers, and whether others can dial this node. Probes gather facts, checks return findings."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from dslnode.addresses import WILDCARDS, announceable, bracketed, host_and_port, is_link_local, is_loopback
from dslnode.cli.doctor.findings import Finding, ok, problem, warning
from dslnode.cli.doctor.host import AskStatus, own_addresses
from dslnode.errors import UnreachableError
from dslnode.name_lookup import LookupFailedError, host_of, resolve_blocking, resolve_own_blocking
from dslnode.v1 import node_pb2 as pb

AskDialBack = Callable[[str, int], pb.DialBackReply]

MAX_CONCURRENT = 16
MAX_CLOCK_OFFSET_SECONDS = 2.0
MAX_CONNECTIONS = 100
MAX_NAMES = 5


@dataclass(frozen=True)
class PeerFacts:
    """One configured peer: what its name resolves to, and its answer. ``clock_offset``: its clock minus ours, in s."""

    address: str
    resolved: tuple[str, ...] = ()
    resolve_error: str = ""
    reply: pb.StatusReply | None = None
    problem: str = ""
    clock_offset: float | None = None

    @property
    def name(self) -> str:
        """The name by which the node there answers, else the address."""
        return self.address if self.reply is None else self.reply.name


def probe_peers(addresses: Sequence[str], ask_status: AskStatus) -> tuple[PeerFacts, ...]:
    """Resolve and ask all peers, several at a time."""
    with ThreadPoolExecutor(MAX_CONCURRENT) as threads:
        return tuple(threads.map(lambda address: _probe_peer(address, ask_status), addresses))


def _probe_peer(address: str, ask_status: AskStatus) -> PeerFacts:
    host, port = host_and_port(address)
    try:
        found = resolve_blocking(host, port)
    except OSError as error:
        return PeerFacts(address, resolve_error=_error_text(error))
    resolved = tuple(dict.fromkeys(each.host for each in found if each.host != host))
    began = time.time()
    try:
        reply = ask_status(address)
    except UnreachableError as error:
        return PeerFacts(address, resolved, problem=str(error))
    clock_offset = reply.clock - (began + time.time()) / 2 if reply.clock else None
    return PeerFacts(address, resolved, reply=reply, clock_offset=clock_offset)


def check_peers(peers: Sequence[PeerFacts], run_id: str, name: str) -> list[Finding]:
    """Return one finding per configured peer."""
    if not peers:
        return [warning("peers", "no peers: the node learns alone unless others dial it", "name some with --peers")]
    return [_check_peer(peer, run_id, name) for peer in peers]


def _check_peer(peer: PeerFacts, run_id: str, name: str) -> Finding:
    if peer.resolve_error:
        fix = "fix the name in --peers or in DNS, or write the IP address"
        return problem("peers", f"{peer.address}: {_unresolved(peer.address, peer.resolve_error)}", fix)
    where = f"{peer.address} ({', '.join(peer.resolved)})" if peer.resolved else peer.address
    if peer.reply is None:
        fix = "start it, or open its port; the node starts without it and keeps trying"
        return warning("peers", f"{where}: {peer.problem}", fix)
    if peer.reply.run_id != run_id:
        fix = "give all nodes of one run the same --run-id, or take it from --peers"
        return problem("peers", f"{where}: {peer.name!r} is of run {peer.reply.run_id!r}, not {run_id!r}", fix)
    if peer.name == name:
        fix = "take the node's own address from --peers, or give each node its own --name"
        return warning("peers", f"{where}: the node there has this node's own name, {name!r}", fix)
    return ok("peers", f"{where}: {peer.name!r} answers, in round {peer.reply.round}")


def check_peer_clocks(peers: Sequence[PeerFacts]) -> list[Finding]:
    """Return one finding per peer whose clock differs from ours by seconds."""
    fix = "set the clock, or run a time service such as systemd-timesyncd or chrony"
    return [
        warning("clock", f"the clock of {peer.address} is {abs(offset):,.1f} s {direction} ours", fix)
        for peer in peers
        if (offset := peer.clock_offset) is not None and abs(offset) > MAX_CLOCK_OFFSET_SECONDS
        for direction in ("ahead of" if offset > 0 else "behind",)
    ]


def check_peer_models(peers: Sequence[PeerFacts], weights: int) -> list[Finding]:
    """Return one problem per peer with another number of weights: it has another model and would be refused."""
    fix = "use the same --model, --seed and data shape on all nodes"
    return [
        problem("peers", f"{peer.address}: its model has {peer.reply.weights:,} weights, ours {weights:,}", fix)
        for peer in peers
        if peer.reply is not None and peer.reply.weights != weights
    ]


@dataclass(frozen=True)
class DialBack:
    """A peer's answer after it was asked to dial this node at ``host``, the address it sees. None: not found out."""

    peer: str
    reached: bool | None
    host: str = ""
    problem: str = ""
    same_machine: bool = False


@dataclass(frozen=True)
class ReachFacts:
    """Where others could find this node, and what peers found that tried.

    ``own`` are this machine's addresses without loopback. ``resolve_error`` says why the advertised name is not known.
    ``arrived``: whether a connection from another machine came in; None if the running node holds the port.
    """

    listen: str
    advertise: str
    peers: tuple[str, ...]
    own: tuple[str, ...]
    resolve_error: str = ""
    dial_backs: tuple[DialBack, ...] = ()
    arrived: bool | None = None

    @property
    def port(self) -> int:
        """The port that others dial; an advertised one may differ from the node's, and is then forwarded."""
        return host_and_port(self.advertise or self.listen)[1]


def probe_reach(listen: str, advertise: str, peers: tuple[str, ...]) -> ReachFacts:
    """Return where others could find this node."""
    host, port = host_and_port(advertise) if advertise else ("", 0)
    try:
        resolve_error = "" if not host or resolve_blocking(host, port) else "no address"
    except OSError as error:
        resolve_error = _error_text(error)
    return ReachFacts(listen, advertise, peers, own_addresses(), resolve_error)


def probe_dial_back(reach: ReachFacts, peers: Sequence[PeerFacts], name: str, ask: AskDialBack) -> ReachFacts:
    """Ask peers to dial this node, and return the facts with their answers.

    The port is held open meanwhile. Where that fails, the caller has made sure that the node itself is there.
    """
    asked = _peers_to_ask(reach, peers, name)
    if not asked or not reach.port:
        return reach
    with _listening(reach.listen) as listener, ThreadPoolExecutor(MAX_CONCURRENT) as threads:
        answers = tuple(threads.map(lambda peer: _ask_dial_back(peer, reach, ask), asked))
        arrived = None if listener is None else _has_remote_connection(listener, reach.own)
    return replace(reach, dial_backs=answers, arrived=arrived)


def _peers_to_ask(reach: ReachFacts, peers: Sequence[PeerFacts], name: str) -> list[PeerFacts]:
    """Return the peers that answered, each node once; only those on this machine if others cannot get in."""
    loopback_only = is_loopback(host_and_port(reach.listen)[0])
    chosen: dict[str, PeerFacts] = {}
    for peer in peers:
        if peer.reply is not None and peer.name != name and (_is_same_machine(peer, reach) or not loopback_only):
            chosen.setdefault(peer.reply.node_id, peer)
    return list(chosen.values())


def _is_same_machine(peer: PeerFacts, reach: ReachFacts) -> bool:
    hosts = {host_and_port(peer.address)[0], *peer.resolved}
    return any(is_loopback(host) or host in reach.own for host in hosts)


def _ask_dial_back(peer: PeerFacts, reach: ReachFacts, ask: AskDialBack) -> DialBack:
    same_machine = _is_same_machine(peer, reach)
    try:
        answer = ask(peer.address, reach.port)
    except UnreachableError as error:
        return DialBack(peer.name, None, problem=str(error), same_machine=same_machine)
    return DialBack(peer.name, answer.reached, answer.host, answer.problem, same_machine)


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket | None]:
    """Listen at an address as the node would; yield None if it is taken. The kernel accepts what comes."""
    try:
        own = resolve_own_blocking(address)
        dual = own.address == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(
            own.socket_address, family=own.family, backlog=MAX_CONNECTIONS, dualstack_ipv6=dual
        )
    except OSError:
        yield None
        return
    with listener:
        yield listener


def _has_remote_connection(listener: socket.socket, own: Sequence[str]) -> bool:
    """Return whether a connection from another machine waits to be accepted."""
    listener.setblocking(False)
    remote = False
    with contextlib.suppress(BlockingIOError):
        for _ in range(MAX_CONNECTIONS):
            connection, address = listener.accept()
            connection.close()
            host = host_of(address)
            remote = remote or not (is_loopback(host) or host in own)
    return remote


def check_reach(reach: ReachFacts) -> list[Finding]:
    """Check whether another machine could dial this node. Peers that tried count for more than the settings do."""
    answers = _check_dial_backs(reach)
    tried = any(
        answer.reached is not None and not answer.same_machine and not _is_other_address(reach, answer)
        for answer in reach.dial_backs
    )
    by_settings = _check_settings(reach)
    return answers if tried and not by_settings.fix else [by_settings, *answers]


def _check_settings(reach: ReachFacts) -> Finding:
    host, port = host_and_port(reach.listen)
    remote_peers = [peer for peer in reach.peers if not is_loopback(host_and_port(peer)[0])]
    by_advertise = _check_advertise(reach)
    if by_advertise is not None:
        return by_advertise
    if is_loopback(host):
        if remote_peers:
            fix = f"listen on 0.0.0.0:{port}; or leave it so if this node only dials out"
            return warning("reach", f"{reach.listen}: only this machine can dial this node, peers are elsewhere", fix)
        return ok("reach", f"{reach.listen}: only this machine can dial this node")
    if not reach.own:
        return warning("reach", "this machine has no address but loopback", "connect it to a network")
    where = ", ".join(bracketed(own, port) for own in reach.own) if host in WILDCARDS else reach.listen
    hint = "to be sure, name a peer on another machine with --peers: it is asked to dial back"
    return ok("reach", f"others can dial {where}, unless a firewall is between; {hint}")


def _check_advertise(reach: ReachFacts) -> Finding | None:
    """Return what is wrong with the address that others are told; None if nothing is."""
    if reach.advertise and not announceable(reach.advertise):
        fix = "advertise an address that others can dial; or leave it out, and give them this one with their own zone"
        return warning("reach", f"{reach.advertise} is not announced: a link-local address holds on one link", fix)
    if reach.resolve_error:
        fix = "fix the name in --advertise or in DNS, or write the IP address"
        what = f"neighbours are told {reach.advertise}, a name that is not known ({reach.resolve_error})"
        return warning("reach", what, fix)
    loopback_only = is_loopback(host_and_port(reach.listen)[0])
    if reach.advertise and is_loopback(host_and_port(reach.advertise)[0]) and not loopback_only:
        fix = "advertise an address that others can dial"
        return warning("reach", f"neighbours are told {reach.advertise}, which is their own machine", fix)
    return None


def _check_dial_backs(reach: ReachFacts) -> list[Finding]:
    """Return one finding for all peers with the same answer."""
    groups: dict[DialBack, list[str]] = {}
    for answer in reach.dial_backs:
        groups.setdefault(replace(answer, peer=""), []).append(answer.peer)
    return [_check_answer(reach, answer, _joined(names)) for answer, names in groups.items()]


def _check_answer(reach: ReachFacts, answer: DialBack, names: str) -> Finding:
    where = bracketed(answer.host, reach.port)
    if answer.reached is None:
        return ok("reach", f"{names}: not found out; {answer.problem}")
    if answer.same_machine and answer.reached:
        return ok("reach", f"{names}, on this machine, reached us at {where}; of others that says nothing")
    if _is_other_address(reach, answer):
        return ok("reach", f"{names}: not found out; asked from {answer.host}, they dial that, not {reach.listen}")
    if not answer.reached:
        fix = (
            f"open TCP port {reach.port} in this machine's firewall and forward it on the router, if there is one; "
            "or leave it so: a node that only dials out is a full neighbour"
        )
        return warning("reach", f"{names} could not reach port {reach.port} at {answer.host}: {answer.problem}", fix)
    if reach.arrived is False:
        fix = f"forward TCP port {reach.port} of the router that has {answer.host} to this machine"
        return warning("reach", f"{names} reached something at {where}, but not this machine", fix)
    return ok("reach", f"{names} reached us at {where}")


def _is_other_address(reach: ReachFacts, answer: DialBack) -> bool:
    """Return whether a peer dialled an address of this machine that the node does not listen on."""
    host = host_and_port(reach.listen)[0]
    return host in reach.own and answer.host in reach.own and answer.host != host


def _joined(names: list[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _unresolved(address: str, error: str) -> str:
    return error if "%" in address or is_link_local(host_and_port(address)[0]) else f"the name is not known ({error})"


def _error_text(error: OSError) -> str:
    return error.reason if isinstance(error, LookupFailedError) else str(error)
