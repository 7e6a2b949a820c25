"""Examines a node before it starts, or while it runs, by the settings that it would have: ``dslnode doctor``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from rich.console import Console
from rich.text import Text

from dslnode.cli.doctor import host_checks, host_facts, reach_checks, reach_facts, ticket_checks, ticket_facts
from dslnode.cli.doctor.findings import Finding, Level, as_dict, worst
from dslnode.cli.doctor.learning_checks import Trial, learning_seconds
from dslnode.config.loader import LoadedSettings
from dslnode.config.settings import Settings
from dslnode.errors import ExitCode, SettingsError
from dslnode.security.exposure import check_exposure
from dslnode.security.ticket import read_ticket
from dslnode.transport.client import ask_dial_back, ask_status
from dslnode.transport.handshake import clean

MARKS = {Level.OK: ("ok", "green"), Level.WARNING: ("warning", "yellow"), Level.PROBLEM: ("PROBLEM", "bold red")}
LONGEST = 500  # characters of a line: some come from other nodes


def examine_node(loaded: LoadedSettings, *, as_json: bool, timeout: float) -> ExitCode:
    """Print what was found; return ``PROBLEM`` if something will not work, else ``DONE``."""
    findings: list[Finding] = []
    console = Console(soft_wrap=True, highlight=False)
    for finding in examine(loaded, timeout):
        findings.append(finding)
        if not as_json:
            console.print(as_text(finding))
    if as_json:
        print(json.dumps(as_dict(findings), indent=2))
    else:
        counts = [sum(finding.level is level for finding in findings) for level in (Level.PROBLEM, Level.WARNING)]
        console.print(f"{counts[0]} problems, {counts[1]} warnings, {len(findings)} findings")
    return ExitCode.PROBLEM if worst(findings) is Level.PROBLEM else ExitCode.DONE


def examine(loaded: LoadedSettings, timeout: float) -> Iterator[Finding]:
    """Yield findings as they come: the ticket, the network, the machine, then a few real steps of learning."""
    settings = loaded.settings
    ticket = ticket_facts.look_at_ticket(settings.ticket, settings.revoked, loaded.ticket_problem)
    exposed = "" if loaded.ticket_problem else why_exposed(settings)
    now = datetime.now(UTC)
    yield from ticket_checks.check_ticket(ticket, settings.name, now, exposed=exposed, insecure=settings.insecure)
    usable = settings.ticket if ticket is not None and ticket.identity is not None else None
    ask = partial(ask_status, timeout=timeout, ticket=usable)
    yield from _examine_host(settings, ask, partial(ask_dial_back, timeout=timeout, ticket=usable))


def _examine_host(settings: Settings, ask: host_facts.Ask, ask_back: reach_facts.AskBack) -> Iterator[Finding]:
    port = host_facts.look_at_port("listen", settings.listen, ask)
    yield host_checks.check_port(port, settings.name)
    if settings.metrics != "off":
        metrics = host_facts.look_at_port("metrics", settings.metrics, None)
        if not (metrics.problem and port.node == settings.name):  # the running node holds both
            yield host_checks.check_port(metrics, settings.name)
    peers = host_facts.look_at_peers(settings.peers, ask)
    reach = reach_facts.look_at_reach(settings.listen, settings.advertise, settings.peers)
    if not port.problem or port.node == settings.name:  # else others would reach who holds it
        reach = reach_facts.have_it_dialled(reach, peers, settings.name, ask_back)
    yield from reach_checks.check_reach(reach)
    yield from host_checks.check_peers(peers, settings.run_id, settings.name)
    yield from host_checks.check_clock(host_facts.look_at_clock(settings.state_dir), peers)
    yield from _examine_learning(settings, peers)


def _examine_learning(settings: Settings, peers: tuple[host_checks.Peer, ...]) -> Iterator[Finding]:
    from dslnode.cli.doctor.learning_facts import learning_findings, schedule

    disk = host_facts.look_at_disk(settings.state_dir)  # before the steps: dirty pages of others are not ours
    trial = None
    for found in learning_findings(settings):
        if isinstance(found, Trial):
            trial = found
        else:
            yield found
    if trial is None:
        yield from host_checks.check_disk(disk, None, None)
        return
    yield from host_checks.check_disk(disk, trial.state_bytes, learning_seconds(trial, schedule(settings)))
    yield from host_checks.check_models(peers, trial.weights)
    if settings.ticket is not None:
        yield from ticket_checks.check_network(read_ticket(settings.ticket).fingerprint, trial.fingerprint)


def why_exposed(settings: Settings) -> str:
    """Return why the node would not start without a ticket, or with one that it does not need; empty if it would."""
    try:
        check_exposure(settings.listen, settings.peers, settings.ticket, insecure=settings.insecure)
    except SettingsError as error:
        return str(error)
    return ""


def as_text(finding: Finding) -> Text:
    """Return a finding for people, its remedy on a line of its own."""
    mark, style = MARKS[finding.level]
    text = Text(f"{mark:<8}", style).append(f"{finding.check:<8}", "bold").append(clean(finding.what, LONGEST), "")
    if finding.fix:
        text.append(f"\n{'':16}-> {clean(finding.fix, LONGEST)}", "")
    return text
