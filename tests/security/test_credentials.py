"""Tickets and lists as a running node takes them: checked, read again, and never replaced by something worse."""

from __future__ import annotations

from datetime import datetime

import pytest

from dslnode.errors import PeerError, SettingsError
from dslnode.security.credentials import Credentials
from dslnode.security.identity import Revocations
from dslnode.security.secret_files import write_private, write_public
from tests.networks import DAY, NOW, Operator


def test_a_ticket_that_others_can_read_is_not_used(operator: Operator) -> None:
    file = operator.ticket("one")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match=f"chmod 600 {file}"):
        Credentials(file, None)


@pytest.mark.parametrize(("former", "latter"), [("MI", "XX"), ("PRIVATE KEY", "PUBLIC KEY")])
def test_a_damaged_ticket_is_reported_as_such(operator: Operator, former: str, latter: str) -> None:
    file = operator.ticket("one")
    write_private(file, file.read_text().replace(former, latter), replace=True)
    with pytest.raises(SettingsError, match="damaged"):
        Credentials(file, None)


def test_a_certificate_and_a_key_of_two_nodes_make_no_ticket(operator: Operator) -> None:
    first, second = operator.ticket("one").read_text(), operator.ticket("other").read_text()
    key = slice(first.index("key ="), first.index("authority ="))
    mixed = first[: key.start] + second[second.index("key =") : second.index("authority =")] + first[key.stop :]
    write_private(operator.directory / "mixed", mixed, replace=False)
    with pytest.raises(SettingsError, match="damaged"):
        Credentials(operator.directory / "mixed", None)


@pytest.mark.parametrize("field", ["node_id", "name"])
def test_a_ticket_cannot_claim_what_its_certificate_does_not_say(operator: Operator, field: str) -> None:
    file = operator.ticket("one")
    value = {"node_id": "ab" * 16, "name": "other"}[field]
    lines = [f'{field} = "{value}"' if line.startswith(f"{field} =") else line for line in file.read_text().split("\n")]
    write_private(file, "\n".join(lines), replace=True)
    with pytest.raises(SettingsError, match="another node's"):
        Credentials(file, None)


def test_a_renewed_ticket_is_used(operator: Operator) -> None:
    credentials = Credentials(operator.ticket("one"), None)
    first, context = credentials.identity, credentials.server
    assert not credentials.refresh(), "nothing has changed"
    operator.renew("one", NOW + DAY)
    assert credentials.refresh()
    assert (credentials.identity.node_id, credentials.identity.not_after) == (first.node_id, first.not_after + DAY)
    assert credentials.server is not context
    assert not credentials.refresh()


@pytest.mark.parametrize("bad", ["rubbish", "missing", "another node", "open"])
def test_a_bad_new_ticket_leaves_the_old_one_in_use(operator: Operator, bad: str) -> None:
    file = operator.ticket("one")
    credentials = Credentials(file, None)
    before, good = credentials.identity, file.read_text()
    match bad:
        case "rubbish":
            write_private(file, "rubbish", replace=True)
        case "missing":
            file.unlink()
        case "another node":
            write_private(file, operator.ticket("other").read_text(), replace=True)
        case "open":
            write_private(file, good, replace=True)
            file.chmod(0o644)
    for _ in range(2):
        with pytest.raises(SettingsError):
            credentials.refresh()
    assert credentials.identity == before
    write_private(file, good, replace=True)
    assert credentials.refresh()


def test_a_newer_revocation_list_is_used_and_an_older_one_is_an_error(operator: Operator) -> None:
    file = operator.ticket("one")
    operator.ticket("other")
    old_list = operator.revoked.read_text()
    credentials = Credentials(file, operator.revoked)
    other = Credentials(file.with_name("other.ticket"), None).identity
    credentials.check(other)
    operator.authority.revoke("other", NOW)
    assert credentials.refresh()
    for text in (old_list, "rubbish"):
        write_public(operator.revoked, text, replace=True)
        with pytest.raises(SettingsError, match=r"older than list|is not a revocation list"):
            credentials.refresh()
        with pytest.raises(PeerError, match="revoked"):
            credentials.check(other)


def test_a_list_that_is_missing_at_the_start_is_an_error_and_not_an_empty_list(operator: Operator) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Credentials(operator.ticket("one"), operator.directory / "absent")


def test_every_check_reads_the_clock(operator: Operator) -> None:
    clock = [NOW]

    def now() -> datetime:
        return clock[0]

    credentials = Credentials(operator.ticket("one", days=90), None, now)
    credentials.check(credentials.identity)
    clock[0] = NOW + 90 * DAY
    with pytest.raises(PeerError, match="ended on"):
        credentials.check(credentials.identity)
    assert credentials.revocations == Revocations()


def test_a_list_beside_the_ticket_is_found_even_if_it_comes_later(operator: Operator) -> None:
    file = operator.ticket("one")
    other = Credentials(operator.ticket("other"), None).identity
    credentials = Credentials(file, None)
    assert not credentials.refresh()
    operator.authority.revoke("other", NOW)
    beside = file.with_name(operator.revoked.name)
    write_public(beside, operator.revoked.read_text(), replace=False)
    assert credentials.refresh()
    with pytest.raises(PeerError, match="revoked"):
        credentials.check(other)
    beside.unlink()
    with pytest.raises(PeerError, match="revoked"):
        credentials.check(other)
    with pytest.raises(PeerError, match="revoked"):
        Credentials(file, operator.revoked).check(other)
