"""What a ticket is found to be: every way in which it can be wrong, and that each has its remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from dslnode.cli.doctor import ticket as ticket_checks
from dslnode.cli.doctor.examination import exposure_problem
from dslnode.cli.doctor.findings import Finding, Level
from dslnode.config.loader import load
from dslnode.config.settings import Settings
from dslnode.security.authority import Authority
from dslnode.security.credentials import Credentials
from dslnode.security.secret_files import write_private
from dslnode.security.self_test import try_handshake
from dslnode.security.ticket import read_ticket, ticket_text
from tests.networks import DAY, NOW, Operator


def examined(settings: Settings, settings_error: str = "") -> Finding:
    """Return what is found of the settings' ticket today."""
    found = ticket_checks.probe_ticket(settings.ticket, settings.revoked, settings_error)
    exposed = exposure_problem(settings)
    [finding] = ticket_checks.check_ticket(found, settings.name, NOW, exposed=exposed, insecure=settings.insecure)
    assert finding.check == "ticket"
    assert bool(finding.fix) == (finding.level is not Level.OK), "a fix exactly where one is needed"
    return finding


def with_ticket(file: Path, name: str = "board-1", **options: object) -> Finding:
    return examined(Settings(name=name, ticket=file, **options))


def test_a_valid_ticket_is_shown_with_its_end(operator: Operator) -> None:
    file = operator.ticket("board-1")
    finding = with_ticket(file)
    assert finding.level is Level.OK
    assert finding.what == f"'board-1' by {file} until {NOW + 90 * DAY:%Y-%m-%d}; no revocation list is there"
    operator.ticket("board-2")
    operator.authority.revoke("board-2", NOW)
    file.with_name("revoked.pem").write_bytes(operator.revoked.read_bytes())
    assert with_ticket(file).what.endswith("revocation list 2")


@pytest.mark.parametrize(
    ("made", "level", "message", "fix"),
    [
        (NOW - 70 * DAY, Level.WARNING, "in 20 days", "dslnode ca renew board-1"),
        (NOW - 91 * DAY, Level.PROBLEM, "it ended on ", "dslnode ca renew board-1"),
        (NOW + 3 * DAY, Level.PROBLEM, "it is not valid before ", "set the clock here"),
    ],
)
def test_time_makes_a_ticket_wrong(operator: Operator, made: datetime, level: Level, message: str, fix: str) -> None:
    finding = with_ticket(operator.ticket("board-1", made, days=90))
    assert finding.level is level
    assert message in finding.what
    assert fix in finding.fix
    assert level is Level.WARNING or "this board's clock says" in finding.what


def test_a_revoked_ticket_is_a_problem(operator: Operator) -> None:
    file = operator.ticket("board-1")
    operator.authority.revoke("board-1", NOW)
    finding = with_ticket(file, revoked=operator.revoked)
    assert (finding.level, finding.what) == (Level.PROBLEM, "the authority has revoked the ticket of 'board-1'")


def another_key(ticket: Path, other: Authority) -> None:
    """Put the key of another node into the ticket."""
    strange = other.issue("board-9", NOW, 90)
    write_private(ticket, ticket_text(read_ticket(ticket).model_copy(update={"key": strange.key})), replace=True)


def another_certificate(ticket: Path, other: Authority) -> None:
    """Put another node's certificate and key into the ticket."""
    strange = other.issue("board-9", NOW, 90)
    changed = {"key": strange.key, "certificate": strange.certificate}
    write_private(ticket, ticket_text(read_ticket(ticket).model_copy(update=changed)), replace=True)


def open_to_others(ticket: Path, _: Authority) -> None:
    ticket.chmod(0o644)


def gone(ticket: Path, _: Authority) -> None:
    ticket.unlink()


def bad_list(ticket: Path, _: Authority) -> None:
    ticket.with_name("revoked.pem").write_text("no list")


@pytest.mark.parametrize(
    ("spoil", "message", "fix"),
    [
        (another_key, "its key or a certificate is damaged", "copy the ticket again"),
        (another_certificate, "its certificate is another node's", "copy the ticket again"),
        (open_to_others, "is open to others (mode 0644)", "chmod 600 "),
        (gone, "cannot be read (No such file or directory)", "fix what the message names"),
        (bad_list, "is not a revocation list", "copy the one that `dslnode ca revoke` wrote"),
    ],
)
def test_a_ticket_that_cannot_be_taken_is_a_problem(
    operator: Operator, spoil: Callable[[Path, Authority], None], message: str, fix: str
) -> None:
    file = operator.ticket("board-1")
    spoil(file, operator.authority)
    finding = with_ticket(file)
    assert finding.level is Level.PROBLEM
    assert message in finding.what
    assert fix in finding.fix


def test_a_certificate_of_another_authority_fails_the_handshake(operator: Operator, tmp_path: Path) -> None:
    """It reads well and its key fits, but no node that trusts the authority in it would believe it."""
    file = operator.ticket("board-1")
    assert try_handshake(Credentials(file, None)) == ""
    strange = Operator(tmp_path / "other").authority
    changed = {"authority": strange.pem, "settings": {}, "signature": ""}
    write_private(file, ticket_text(read_ticket(file).model_copy(update=changed)), replace=True)
    finding = with_ticket(file)
    assert finding.level is Level.PROBLEM
    assert "TLS fails with it (" in finding.what


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"signature": ""}, "has settings without a signature"),
        ({"settings": {"alpha": "2"}}, "has other settings than its authority signed"),
    ],
)
def test_settings_that_the_authority_did_not_sign_are_a_problem(
    operator: Operator, changed: dict[str, object], message: str
) -> None:
    file = operator.ticket("board-1", alpha="1")
    write_private(file, ticket_text(read_ticket(file).model_copy(update=changed)), replace=True)
    finding = with_ticket(file)
    assert finding.level is Level.PROBLEM
    assert message in finding.what
    assert "`dslnode ca renew board-1`" in finding.fix


def test_a_ticket_that_chooses_code_is_a_problem(operator: Operator) -> None:
    loaded = load({"ticket": str(operator.ticket("board-1", model="evil:net"))}, {}, None, examine=True)
    finding = examined(loaded.settings, loaded.ticket_problem)
    assert finding.level is Level.PROBLEM
    assert "model = 'evil:net'" in finding.what
    assert finding.fix.startswith("give --model evil:net on the board, or --allow-code-from-ticket")


def test_another_name_than_the_tickets_is_a_problem(operator: Operator) -> None:
    finding = with_ticket(operator.ticket("board-1"), name="board-2")
    assert (finding.level, finding.fix) == (Level.PROBLEM, "leave --name out")


def test_a_ticket_that_the_settings_could_not_use_is_a_problem() -> None:
    finding = examined(Settings(name="a"), "/x.ticket: is not a ticket; make one with `dslnode ca issue NAME`")
    assert (finding.level, finding.fix) == (Level.PROBLEM, "make one with `dslnode ca issue NAME`")


def test_no_ticket_is_needed_on_one_machine() -> None:
    assert examined(Settings(name="a")).level is Level.OK
    exposed = examined(Settings(name="a", listen="0.0.0.0:7711"))
    assert exposed.level is Level.PROBLEM
    assert "would accept any host that reaches this port" in exposed.what
    assert "dslnode ca issue" in exposed.fix
    assert examined(Settings(name="a", listen="0.0.0.0:7711", insecure=True)).level is Level.WARNING


def test_a_ticket_for_another_frozen_network_is_a_problem() -> None:
    assert ticket_checks.check_network("", "ab") == ticket_checks.check_network("ab", "ab") == []
    [finding] = ticket_checks.check_network("ab", "cd")
    assert finding.level is Level.PROBLEM
