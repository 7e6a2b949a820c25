"""Whether others can dial this node, by its settings and by what peers say who tried: facts in, findings out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dslnode.addresses import WILDCARDS, bracketed, host_and_port, is_loopback
from dslnode.cli.doctor.findings import Finding, ok, warning

NAMES_SHOWN = 5


@dataclass(frozen=True)
class Asked:
    """What one peer says of dialling this node at ``host``, the address that it sees; ``problem`` if it could not.

    ``reached`` is None if it was not found out. ``here``: the peer runs on this very machine.
    """

    name: str
    reached: bool | None
    host: str = ""
    problem: str = ""
    here: bool = False


@dataclass(frozen=True)
class Reach:
    """Where others could find this node. ``own`` are this machine's addresses beyond itself; None if unknown.

    ``unresolved`` says why the name that neighbours are told means nothing here. ``asked`` have been asked to dial
    back, and ``arrived`` says whether a connection from elsewhere came in meanwhile: None if the node itself took it.
    """

    listen: str
    advertise: str
    peers: tuple[str, ...]
    own: tuple[str, ...] | None
    unresolved: str = ""
    asked: tuple[Asked, ...] = ()
    arrived: bool | None = None

    @property
    def port(self) -> int:
        """The port that others dial: what is advertised may be another one, which is forwarded."""
        return host_and_port(self.advertise or self.listen)[1]


def check_reach(reach: Reach) -> list[Finding]:
    """Whether somebody on another machine could dial this node; who tried it counts for more than any reasoning."""
    told = _told(reach)
    tried = any(one.reached is not None and not one.here and not _is_elsewhere(reach, one) for one in reach.asked)
    reasoned = _reasoned(reach)
    return told if tried and not reasoned.fix else [reasoned, *told]


def _reasoned(reach: Reach) -> Finding:
    host, port = host_and_port(reach.listen)
    others = [peer for peer in reach.peers if not is_loopback(host_and_port(peer)[0])]
    if reach.unresolved:
        fix = "mend the name in --advertise or in DNS, or write the IP address"
        what = f"neighbours are told {reach.advertise}, a name that is not known ({reach.unresolved})"
        return warning("reach", what, fix)
    if is_loopback(host):
        if others:
            fix = f"listen on 0.0.0.0:{port}; or leave it so if this node only dials out"
            return warning("reach", f"{reach.listen}: only this machine can dial this node, peers are elsewhere", fix)
        return ok("reach", f"{reach.listen}: only this machine can dial this node")
    if reach.advertise and is_loopback(host_and_port(reach.advertise)[0]):
        fix = "advertise an address that others can dial"
        return warning("reach", f"neighbours are told {reach.advertise}, which is their own machine", fix)
    if reach.own == ():
        return warning("reach", "this machine has no address but loopback", "connect it to a network")
    own = reach.own or ()
    where = ", ".join(bracketed(one, port) for one in own) if host in WILDCARDS and own else reach.listen
    sure = "to be sure, name a peer on another machine with --peers: it is asked to dial back"
    return ok("reach", f"others can dial {where}, unless a firewall is between; {sure}")


def _told(reach: Reach) -> list[Finding]:
    """One finding for all peers that say the same."""
    groups: dict[Asked, list[str]] = {}
    for one in reach.asked:
        groups.setdefault(replace(one, name=""), []).append(one.name)
    return [_of_group(reach, answer, _listed(names)) for answer, names in groups.items()]


def _of_group(reach: Reach, answer: Asked, names: str) -> Finding:
    where = bracketed(answer.host, reach.port)
    if answer.reached is None:
        return ok("reach", f"{names}: not found out; {answer.problem}")
    if answer.here and answer.reached:
        return ok("reach", f"{names}, on this machine, reached us at {where}; of others that says nothing")
    if _is_elsewhere(reach, answer):
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


def _is_elsewhere(reach: Reach, answer: Asked) -> bool:
    """Whether a peer dialled an address of this machine that the node does not listen on."""
    own, host = reach.own or (), host_and_port(reach.listen)[0]
    return host in own and answer.host in own and answer.host != host


def _listed(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
