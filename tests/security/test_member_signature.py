"""Member records are believed only if their own node has signed them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dslnode.errors import PeerError
from dslnode.protocol.membership import MemberRecord, address_proof
from dslnode.security import member_signature
from dslnode.security.credentials import Credentials
from dslnode.security.member_signature import MemberSignatures
from tests.networks import DAY, NOW, Operator


def signatures(ticket: Path, revoked: Path | None = None, run_id: str = "run") -> MemberSignatures:
    return MemberSignatures(Credentials(ticket, revoked), run_id)


def own_record(ticket: Path, version: int = 3) -> MemberRecord:
    who = Credentials(ticket, None).identity
    proven = frozenset({address_proof("ab" * 16, "10.0.0.2:7711")})
    return MemberRecord(who.key, version, who.name, "10.0.0.1:7711", frozenset({"cd" * 16}), proven=proven)


def test_a_signed_record_passes_through_any_node_of_the_network(operator: Operator) -> None:
    first, second = operator.ticket("one"), operator.ticket("other")
    signed = signatures(first).sign(own_record(first))
    checker = signatures(second)
    assert checker.check(signed) == signed
    later = signatures(first).sign(own_record(first, version=4))
    assert checker.check(replace(later, certificate=b"")) == later, "the certificate is known by now"
    assert signatures(second).check(replace(later, certificate=b"")) is None, "to this node it is not"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 9},
        {"address": "203.0.113.1:80"},
        {"links": frozenset()},
        {"left": True},
        {"proven": frozenset()},
        {"signature": b""},
        {"signature": bytes(70)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_nobody_can_change_what_a_node_said(operator: Operator, change: dict[str, Any]) -> None:
    ticket = operator.ticket("one")
    signed = signatures(ticket).sign(own_record(ticket))
    checker = signatures(operator.ticket("other"))
    assert checker.check(signed) == signed
    with pytest.raises(PeerError, match="has not signed") as refused:
        checker.check(replace(signed, **change))
    assert refused.value.reason == "forged"


@pytest.mark.parametrize("field", ["key", "name"])
def test_a_node_cannot_speak_for_another(operator: Operator, field: str) -> None:
    ticket = operator.ticket("liar")
    claim = replace(own_record(ticket), key="ab" * 16) if field == "key" else replace(own_record(ticket), name="other")
    with pytest.raises(PeerError, match="with the certificate of 'liar'") as refused:
        signatures(operator.ticket("honest")).check(signatures(ticket).sign(claim))
    assert refused.value.reason == "forged"


def test_a_certificate_of_another_authority_is_forged(operator: Operator, tmp_path: Path) -> None:
    ticket = Operator(tmp_path / "other").ticket("stranger")
    with pytest.raises(PeerError, match="another authority") as refused:
        signatures(operator.ticket("honest")).check(signatures(ticket).sign(own_record(ticket)))
    assert refused.value.reason == "forged"


@pytest.mark.parametrize("certificate", [b"\0", b"0" * 500, b"0\x82\x01\x00" + bytes(256)])
def test_bytes_that_are_no_certificate_are_forged(operator: Operator, certificate: bytes) -> None:
    ticket = operator.ticket("one")
    with pytest.raises(PeerError) as refused:
        signatures(ticket).check(replace(own_record(ticket), certificate=certificate))
    assert refused.value.reason == "forged"


def test_a_signature_of_another_run_does_not_count(operator: Operator) -> None:
    ticket = operator.ticket("one")
    with pytest.raises(PeerError, match="has not signed"):
        signatures(ticket).check(signatures(ticket, run_id="another").sign(own_record(ticket)))


def test_a_revoked_or_expired_node_is_left_out_and_who_passed_it_on_is_not_to_blame(operator: Operator) -> None:
    stolen, expired = operator.ticket("stolen"), operator.ticket("expired", NOW - 90 * DAY, days=89)
    checker = signatures(operator.ticket("honest"), operator.revoked)
    assert checker.check(signatures(expired).sign(own_record(expired))) is None
    record = signatures(stolen).sign(own_record(stolen))
    assert checker.check(record) == record
    operator.authority.revoke("stolen", NOW)
    checker._credentials.refresh()
    assert checker.check(record) is None


def test_a_renewed_ticket_signs_with_its_new_certificate(operator: Operator) -> None:
    ticket = operator.ticket("one")
    signer, checker = signatures(ticket), signatures(operator.ticket("other"))
    record = own_record(ticket)
    before = signer.sign(record)
    assert signer.sign(record) is before, "a record is signed once"
    assert checker.check(before) == before
    operator.renew("one")
    signer._credentials.refresh()
    after = signer.sign(record)
    assert after.certificate != before.certificate
    assert checker.check(after) == after


def test_memory_is_bounded(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_signature, "MAX_KNOWN", 3)
    ticket = operator.ticket("one")
    signer, checker = signatures(ticket), signatures(operator.ticket("other"))
    for version in range(1, 10):
        assert checker.check(signer.sign(own_record(ticket, version)))
    assert (len(checker._certificates), len(checker._checked)) == (1, 3)
