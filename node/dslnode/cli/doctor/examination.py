"""Examines a node before it starts, or while it runs, by the settings that it would have: ``dslnode doctor``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from dslnode.cli.doctor import host, reach, ticket
from dslnode.cli.doctor.findings import Finding, Level, findings_as_dict, worst_level
from dslnode.cli.doctor.score import check_score
from dslnode.config.loader import LoadedSettings
from dslnode.config.settings import Settings
from dslnode.errors import ExitCode, SettingsError, UnreachableError
from dslnode.security.exposure import check_exposure
from dslnode.security.ticket import read_ticket
from dslnode.transport.client import ask_dial_back, ask_status
from dslnode.transport.handshake import clean

STYLES = {Level.OK: ("ok", "green"), Level.WARNING: ("warning", "yellow"), Level.PROBLEM: ("PROBLEM", "bold red")}
MAX_LINE = 500  # characters: some text comes from other nodes


def examine_node(loaded: LoadedSettings, *, as_json: bool, timeout: float) -> ExitCode:
    """Print all findings; return ``PROBLEM`` if something will not work, else ``DONE``. ``timeout`` is in seconds."""
    findings: list[Finding] = []
    console = Console(soft_wrap=True, highlight=False)
    for finding in examine(loaded, timeout):
        findings.append(finding)
        if not as_json:
            console.print(as_text(finding))
    if as_json:
        print(json.dumps(findings_as_dict(findings), indent=2))
    else:
        counts = [sum(finding.level is level for finding in findings) for level in (Level.PROBLEM, Level.WARNING)]
        console.print(f"{counts[0]} problems, {counts[1]} warnings, {len(findings)} findings")
    return ExitCode.PROBLEM if worst_level(findings) is Level.PROBLEM else ExitCode.DONE


def examine(loaded: LoadedSettings, timeout: float) -> Iterator[Finding]:
    """Yield findings as they are made: ticket, network, machine, then a few real steps of learning."""
    settings = loaded.settings
    facts = ticket.probe_ticket(settings.ticket, settings.revoked, loaded.ticket_problem)
    exposed = "" if loaded.ticket_problem else exposure_problem(settings)
    now = datetime.now(UTC)
    yield from ticket.check_ticket(facts, settings.name, now, exposed=exposed, insecure=settings.insecure)
    usable = settings.ticket if facts is not None and facts.identity is not None else None
    sockets = None if usable is None else host.check_sockets(settings.state_dir)
    if sockets is None:
        ask = partial(ask_status, timeout=timeout, ticket=usable)
        yield from _examine_network(settings, ask, partial(ask_dial_back, timeout=timeout, ticket=usable))
    else:
        yield sockets
        yield from _examine_network(settings, _ask_nobody, _ask_nobody)


def _ask_nobody(*_arguments: object) -> NoReturn:
    raise UnreachableError("it was not asked, for lack of Unix sockets")


def _examine_network(settings: Settings, ask: host.AskStatus, dial_back: reach.AskDialBack) -> Iterator[Finding]:
    port = host.probe_port("listen", settings.listen, ask)
    yield host.check_port(port, settings.name)
    if port.problem and port.node == settings.name:  # it runs
        with contextlib.suppress(UnreachableError):
            yield from check_score(ask(settings.listen))
    others = {"metrics": "" if settings.metrics == "off" else settings.metrics, "serve": settings.serve}
    for setting, address in others.items():
        if not address:
            continue
        other = host.probe_port(setting, address, None)
        if not (other.problem and port.node == settings.name):  # the running node holds them all
            yield host.check_port(other, settings.name)
    peers = reach.probe_peers(settings.peers, ask)
    reachable = reach.probe_reach(settings.listen, settings.advertise, settings.peers)
    if not port.problem or port.node == settings.name:  # else peers would reach another process
        reachable = reach.probe_dial_back(reachable, peers, settings.name, dial_back)
    yield from reach.check_reach(reachable)
    yield from reach.check_peers(peers, settings.run_id, settings.name)
    yield host.check_clock(host.probe_clock(settings.state_dir))
    yield from reach.check_peer_clocks(peers)
    yield from host.check_state_directory(settings.state_dir)
    yield from _examine_learning(settings, peers)


def _examine_learning(settings: Settings, peers: tuple[reach.PeerFacts, ...]) -> Iterator[Finding]:
    from dslnode.cli.doctor.learning import RoundSettings, Trial, examine_learning, learning_seconds

    disk = host.probe_disk(settings.state_dir)  # before the steps: dirty pages of others are not ours
    trial = None
    for result in examine_learning(settings):
        if isinstance(result, Trial):
            trial = result
        else:
            yield result
    if trial is None:
        yield host.check_disk(disk, None, None)
        return
    yield host.check_disk(disk, trial.state_bytes, learning_seconds(trial, RoundSettings.of(settings)))
    yield from reach.check_peer_models(peers, trial.weights)
    if settings.ticket is not None:
        yield from ticket.check_network(read_ticket(settings.ticket).fingerprint, trial.fingerprint)


def exposure_problem(settings: Settings) -> str:
    """Return why the node would not start without a ticket, or with one that it does not need; empty if it would."""
    try:
        check_exposure(settings.listen, settings.peers, settings.ticket, insecure=settings.insecure)
    except SettingsError as error:
        return str(error)
    return ""


def as_text(finding: Finding) -> Text:
    """Return a finding for people, with its fix on a line of its own."""
    label, style = STYLES[finding.level]
    text = Text(f"{label:<8}", style).append(f"{finding.check:<8}", "bold").append(clean(finding.what, MAX_LINE), "")
    if finding.fix:
        text.append(f"\n{'':16}-> {clean(finding.fix, MAX_LINE)}", "")
    return text
