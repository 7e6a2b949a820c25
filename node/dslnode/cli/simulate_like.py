"""Asks a running network what a simulation of it needs: ``dslnode simulate --like``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

from dslnode.cli.crawler import NetworkSnapshot, crawl
from dslnode.cli.status import checked_address
from dslnode.errors import SettingsError
from dslnode.simulation.graph import from_edges
from dslnode.simulation.likeness import Likeness
from dslnode.simulation.likeness_file import LIKENESS_FILE, read_likeness
from dslnode.transport.client import ask_status

TIMEOUT_SECONDS = 5.0


def take_likeness(address: str | None, ticket: Path | None, report: Path, *, resume: bool) -> Likeness | None:
    """Return the network that a simulation is to be like, None if it is like none.

    With ``resume`` it is the one in the report, as it was asked for the first time: a network that runs reports other
    seconds per round each time. Raises as ``ask_likeness`` and ``read_likeness`` do.
    """
    if address is None:
        if ticket is not None:
            raise SettingsError("--ticket: is for the network that --like asks; add --like, or leave --ticket out")
        return None
    file = report / LIKENESS_FILE
    return read_likeness(file, address) if resume and file.exists() else ask_likeness(address, ticket)


def ask_likeness(address: str, ticket: Path | None) -> Likeness:
    """Return what the nodes of a network report, asked from one of them.

    Raises ``UnreachableError`` if that node does not answer, ``SettingsError`` if the address is malformed, or no node
    has finished a round.
    """
    ask = partial(ask_status, timeout=TIMEOUT_SECONDS, ticket=ticket)
    ask(checked_address(address, "--like"))
    return replace(likeness_of(crawl([address], ask)), address=address)


def likeness_of(snapshot: NetworkSnapshot) -> Likeness:
    """Return what a snapshot says. Raises ``SettingsError`` if no node in it has finished a round."""
    replies = [reply for reply in snapshot.replies if reply.round and reply.density]
    if not replies:
        raise SettingsError("--like: no node of that network has finished a round; ask again when one has")
    usual_ratio = fmean(reply.density for reply in replies)
    usual_seconds = fmean(reply.uptime_seconds / reply.round for reply in replies)
    own = {reply.node_id: reply for reply in replies}
    numbers = {node.key: number for number, node in enumerate(snapshot.nodes)}
    known = [own.get(node.key) for node in snapshot.nodes]
    caps = [reply.usage for reply in replies if reply.usage.HasField("cap_bytes")]
    return Likeness(
        neighbours=from_edges(
            len(numbers), [(numbers[a], numbers[b]) for a, b in snapshot.links if a in numbers and b in numbers]
        ),
        keep_ratios=tuple(usual_ratio if reply is None else round(reply.density, 3) for reply in known),
        round_seconds=tuple(usual_seconds if reply is None else reply.uptime_seconds / reply.round for reply in known),
        data_cap=f"{caps[0].cap_bytes}B/{caps[0].cap_period}" if caps else "",
    )
