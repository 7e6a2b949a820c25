"""Whether this machine and its network are fit for a node: facts in, findings out."""

from __future__ import annotations

from dataclasses import dataclass

from dslnode.cli.doctor.findings import Finding, ok, problem, shortened, warning
from dslnode.v1 import node_pb2 as pb

CLOCK_SECONDS = 2.0
FILES_AHEAD_SECONDS = 60.0


@dataclass(frozen=True)
class Port:
    """An address to serve on. ``holder`` is the process that has it; ``node`` the dslnode that answers there."""

    setting: str  # listen or metrics
    address: str
    problem: str = ""  # why it cannot be had; empty if it is free
    holder: str = ""
    node: str = ""


@dataclass(frozen=True)
class Peer:
    """One configured peer: what its name stands for, and what it answered. ``ahead`` is its clock less ours, in s."""

    address: str
    resolved: tuple[str, ...] = ()
    unresolved: str = ""
    reply: pb.StatusReply | None = None
    problem: str = ""
    ahead: float | None = None


@dataclass(frozen=True)
class Clock:
    """What the system tells of its clock: whether it follows a time server, and by how much own files are ahead."""

    synchronised: bool | None
    files_ahead: float = 0.0


@dataclass(frozen=True)
class Disk:
    """The state directory, after a trial file was written there. Speed in bytes a second, flushed to the disk."""

    path: str
    free: int = 0
    speed: float = 0.0
    problem: str = ""


def check_port(port: Port, name: str) -> Finding:
    """Free, or held by this very node while it runs, is well."""
    option = f"--{port.setting}"
    if port.node == name:
        return ok(port.setting, f"{port.address}: this node is running there")
    if port.node:
        fix = f"give each node a port of its own with {option}"
        return problem(port.setting, f"{port.address} is taken by the dslnode {port.node!r}", fix)
    if port.problem:
        held = f" by {port.holder}" if port.holder else ""
        fix = f"end what holds it, or choose an address of this machine with {option} HOST:PORT"
        return problem(port.setting, f"{port.address} cannot be had{held} ({port.problem})", fix)
    return ok(port.setting, f"{port.address} is free")


def check_peers(peers: tuple[Peer, ...], run_id: str, name: str) -> list[Finding]:
    """One finding for each configured peer."""
    if not peers:
        return [warning("peers", "no peers: the node learns alone unless others dial it", "name some with --peers")]
    return [_check_peer(peer, run_id, name) for peer in peers]


def _check_peer(peer: Peer, run_id: str, name: str) -> Finding:
    if peer.unresolved:
        fix = "mend the name in --peers or in DNS, or write the IP address"
        return problem("peers", f"{peer.address}: the name is not known ({peer.unresolved})", fix)
    where = f"{peer.address} ({', '.join(peer.resolved)})" if peer.resolved else peer.address
    if peer.reply is None:
        fix = "start it, or open its port; the node starts without it and keeps trying"
        return warning("peers", f"{where}: {peer.problem}", fix)
    if peer.reply.run_id != run_id:
        fix = "give all nodes of one run the same --run-id, or take it from --peers"
        return problem("peers", f"{where}: {peer.reply.name!r} is of run {peer.reply.run_id!r}, not {run_id!r}", fix)
    if peer.reply.name == name:
        fix = "take the node's own address from --peers, or give each node its own --name"
        return warning("peers", f"{where}: the node there has this node's own name, {name!r}", fix)
    return ok("peers", f"{where}: {peer.reply.name!r} answers, in round {peer.reply.round}")


def check_models(peers: tuple[Peer, ...], weights: int) -> list[Finding]:
    """Peers with another number of weights have another model, and would be refused."""
    fix = "use the same --model, --seed and data shape on all nodes"
    return [
        problem("peers", f"{peer.address}: its model has {peer.reply.weights:,} weights, ours {weights:,}", fix)
        for peer in peers
        if peer.reply is not None and peer.reply.weights != weights
    ]


def check_clock(clock: Clock, peers: tuple[Peer, ...]) -> list[Finding]:
    """Nothing in the protocol needs the time of day; certificates and logs do."""
    fix = "set the clock, or run a time service such as systemd-timesyncd or chrony"
    if clock.files_ahead > FILES_AHEAD_SECONDS:
        found = [problem("clock", f"files of this node are {clock.files_ahead:,.0f} s newer than the clock", fix)]
    elif clock.synchronised is False:
        found = [warning("clock", "the system says that its clock follows no time server", fix)]
    else:
        known = "follows a time server" if clock.synchronised else "is not older than the node's files"
        found = [ok("clock", f"the clock {known}")]
    return found + [
        warning("clock", f"the clock of {peer.address} is {abs(peer.ahead):,.1f} s {_way(peer.ahead)} ours", fix)
        for peer in peers
        if peer.ahead is not None and abs(peer.ahead) > CLOCK_SECONDS
    ]


def check_disk(disk: Disk | None, state_bytes: int | None, round_seconds: float | None) -> list[Finding]:
    """Whether the state fits twice (a new one is written beside the old) and how long writing it takes."""
    if disk is None:
        return [warning("disk", "nothing is kept: a restart begins anew", "name a directory with --state-dir")]
    if disk.problem:
        return [problem("disk", f"{disk.path}: {disk.problem}", "choose another --state-dir, or mend its permissions")]
    if state_bytes is None:
        return [ok("disk", f"{disk.path}: {shortened(disk.free)} free, {shortened(disk.speed)}/s")]
    if disk.free < 2 * state_bytes:
        what = f"{disk.path}: {shortened(disk.free)} free, two states take {shortened(2 * state_bytes)}"
        return [problem("disk", what, "make room, or choose another --state-dir")]
    seconds = state_bytes / disk.speed
    what = f"{disk.path}: {shortened(disk.free)} free; a state of {shortened(state_bytes)} takes {seconds:.2f} s"
    if round_seconds is not None and seconds > round_seconds / 2:
        return [
            warning("disk", f"{what}, a round's learning {round_seconds:.2f} s", "use a faster disk, or more steps")
        ]
    return [ok("disk", what)]


def _way(ahead: float) -> str:
    return "ahead of" if ahead > 0 else "behind"
