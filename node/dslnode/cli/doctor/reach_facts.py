"""Finds out for ``dslnode doctor`` where others could find this node, and has peers dial it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from dslnode.addresses import host_and_port, is_loopback
from dslnode.cli.doctor.host_checks import Peer
from dslnode.cli.doctor.host_facts import AT_ONCE, own_addresses
from dslnode.cli.doctor.reach_checks import Asked, Reach
from dslnode.errors import UnreachableError
from dslnode.v1 import node_pb2 as pb

AskBack = Callable[[str, int], pb.DialBackReply]
MAX_ARRIVALS = 100


def look_at_reach(listen: str, advertise: str, peers: tuple[str, ...]) -> Reach:
    """Return where others could find this node."""
    host, port = host_and_port(advertise) if advertise else ("", 0)
    try:
        unresolved = "" if not host or socket.getaddrinfo(host, port) else "no address"
    except (OSError, UnicodeError) as error:
        unresolved = getattr(error, "strerror", None) or str(error)
    return Reach(listen, advertise, peers, own_addresses(), unresolved)


def have_it_dialled(reach: Reach, peers: Sequence[Peer], name: str, ask: AskBack) -> Reach:
    """Return the same with what peers say who were asked to dial this node.

    The port is held open meanwhile. Where that fails, the caller has made sure that the node itself is there.
    """
    asked = _whom_to_ask(reach, peers, name)
    if not asked or not reach.port:
        return reach
    with _held(reach.listen) as listener, ThreadPoolExecutor(AT_ONCE) as threads:
        answers = tuple(threads.map(lambda peer: _ask_one(peer, reach, ask), asked))
        arrived = None if listener is None else _arrived(listener, reach.own or ())
    return replace(reach, asked=answers, arrived=arrived)


def _whom_to_ask(reach: Reach, peers: Sequence[Peer], name: str) -> list[Peer]:
    """Return the peers that answered, each node once; on this machine alone if nobody else can get in."""
    only_here = is_loopback(host_and_port(reach.listen)[0])
    chosen: dict[str, Peer] = {}
    for peer in peers:
        if peer.reply is not None and peer.reply.name != name and (_is_here(peer, reach) or not only_here):
            chosen.setdefault(peer.reply.node_id, peer)
    return list(chosen.values())


def _is_here(peer: Peer, reach: Reach) -> bool:
    hosts = {host_and_port(peer.address)[0], *peer.resolved}
    return any(is_loopback(host) or host in (reach.own or ()) for host in hosts)


def _ask_one(peer: Peer, reach: Reach, ask: AskBack) -> Asked:
    name = peer.reply.name if peer.reply is not None else peer.address
    try:
        answer = ask(peer.address, reach.port)
    except UnreachableError as error:
        return Asked(name, None, problem=str(error), here=_is_here(peer, reach))
    return Asked(name, answer.reached, answer.host, answer.problem, _is_here(peer, reach))


@contextlib.contextmanager
def _held(address: str) -> Iterator[socket.socket | None]:
    """Listen at an address, as the node would; give None if it cannot be had. The kernel accepts what comes."""
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    dual = host == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server((host, port), family=family, backlog=MAX_ARRIVALS, dualstack_ipv6=dual)
    except OSError:
        yield None
        return
    with listener:
        yield listener


def _arrived(listener: socket.socket, own: Sequence[str]) -> bool:
    """Return whether a connection from beyond this machine waits to be taken."""
    listener.setblocking(False)
    found = False
    with contextlib.suppress(BlockingIOError):
        for _ in range(MAX_ARRIVALS):
            connection, address = listener.accept()
            connection.close()
            host = str(address[0]).removeprefix("::ffff:")
            found = found or not (is_loopback(host) or host in own)
    return found
