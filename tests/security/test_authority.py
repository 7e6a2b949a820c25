"""The operator's authority: what it issues, renews, takes back, and never loses."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dslnode.errors import SettingsError
from dslnode.security.authority import FIRST_PEERS, Authority
from dslnode.security.certificates import identity_from_pem, read_revocations
from dslnode.security.identity import SERVER_NAME
from tests.networks import DAY, NOW, Operator


def test_an_authority_is_never_overwritten(operator: Operator) -> None:
    before = {file: file.read_bytes() for file in operator.directory.iterdir()}
    with pytest.raises(SettingsError, match="not written over"):
        Authority.create(operator.directory, "run", NOW)
    assert {file: file.read_bytes() for file in operator.directory.iterdir()} == before


def test_keys_are_readable_by_their_owner_only(operator: Operator) -> None:
    assert operator.directory.stat().st_mode & 0o077 == 0
    key = operator.directory / "authority.key"
    assert key.stat().st_mode & 0o077 == 0
    key.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        Authority(operator.directory)


def test_a_ticket_has_all_that_a_board_needs(operator: Operator) -> None:
    ticket = operator.authority.issue(
        "board-7", NOW, 90, address="10.0.0.7:7712", fingerprint="cd" * 16, settings={"share": "7/20"}
    )
    identity = identity_from_pem(ticket.certificate)
    assert (identity.key, identity.name, identity.not_after) == (ticket.node_id, "board-7", NOW + 90 * DAY)
    assert identity.not_before == NOW - DAY, "for boards whose clocks are slow"
    assert (ticket.run_id, ticket.fingerprint) == ("run", "cd" * 16)
    assert ticket.settings == {"listen": "0.0.0.0:7712", "advertise": "10.0.0.7:7712", "share": "7/20"}
    assert ticket.authority == operator.authority.pem


def test_a_certificate_can_be_used_for_nothing_but_a_node(operator: Operator) -> None:
    ticket = operator.authority.issue("board-7", NOW, 90)
    certificate = x509.load_pem_x509_certificate(ticket.certificate.encode())
    authority = x509.load_pem_x509_certificate(ticket.authority.encode())
    certificate.verify_directly_issued_by(authority)
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    constraints = [
        one.extensions.get_extension_for_class(x509.BasicConstraints).value for one in (certificate, authority)
    ]
    assert [(one.ca, one.path_length) for one in constraints] == [(False, None), (True, 0)]
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [SERVER_NAME]


def test_later_nodes_know_the_addresses_of_the_last_few_that_have_one(operator: Operator) -> None:
    for number in range(1, FIRST_PEERS + 3):
        operator.authority.issue(f"board-{number}", NOW, 90, address=f"10.0.0.{number}:7711")
    operator.authority.issue("behind-nat", NOW, 90)
    operator.authority.revoke("board-7", NOW)
    peers = operator.authority.issue("last", NOW, 90).settings["peers"].split(",")
    assert peers == [f"10.0.0.{number}:7711" for number in range(2, 7)]
    operator.authority.issue("link-local", NOW, 90, address="[fe80::7%eth0]:7711")
    assert "fe80" not in operator.authority.issue("later", NOW, 90).settings["peers"]
    chosen = operator.authority.issue("own", NOW, 90, settings={"peers": "10.0.0.9:1"}).settings
    assert chosen["peers"] == "10.0.0.9:1"


def test_a_name_is_issued_once(operator: Operator) -> None:
    operator.ticket("board-7")
    with pytest.raises(SettingsError, match="ca renew board-7"):
        operator.ticket("board-7")


def test_renewal_keeps_node_id_and_settings_and_changes_the_key(operator: Operator) -> None:
    first = operator.authority.issue("board-7", NOW, 90, settings={"share": "7/20"})
    again = Authority(operator.directory).renew("board-7", NOW + 60 * DAY, 90)
    assert (again.node_id, again.settings, again.authority) == (first.node_id, first.settings, first.authority)
    assert again.key != first.key
    assert identity_from_pem(again.certificate).not_after == NOW + 150 * DAY


def test_no_ticket_outlives_the_authority(operator: Operator) -> None:
    ticket = operator.authority.issue("board-7", NOW, 9_999)
    authority = x509.load_pem_x509_certificate(operator.authority.pem.encode())
    assert identity_from_pem(ticket.certificate).not_after == authority.not_valid_after_utc


def test_revoking_covers_every_certificate_of_a_node_and_of_no_other(operator: Operator) -> None:
    authority = operator.authority
    serials = [
        identity_from_pem(ticket.certificate).serial
        for ticket in (authority.issue("board-7", NOW, 90), authority.renew("board-7", NOW, 90))
    ]
    authority.issue("board-8", NOW, 90)
    assert read_revocations(operator.revoked, authority.pem).serials == frozenset()
    authority.revoke("board-7", NOW)
    first = read_revocations(operator.revoked, authority.pem)
    assert first.serials == frozenset(serials)
    with pytest.raises(SettingsError, match="is revoked"):
        authority.renew("board-7", NOW, 90)
    authority.issue("board-7", NOW, 90)
    authority.revoke("board-8", NOW)
    second = read_revocations(operator.revoked, authority.pem)
    assert second.serials > first.serials, "a name that is issued anew leaves its old certificates revoked"
    assert second.number > first.number


def test_a_name_issued_again_is_another_node(operator: Operator) -> None:
    first = operator.authority.issue("board-7", NOW, 90)
    operator.authority.revoke("board-7", NOW)
    assert operator.authority.issue("board-7", NOW, 90).node_id != first.node_id


def test_a_list_of_another_authority_is_refused(operator: Operator, tmp_path: Path) -> None:
    stranger = Operator(tmp_path / "stranger")
    with pytest.raises(SettingsError, match="signed by another authority"):
        read_revocations(stranger.revoked, operator.authority.pem)


@pytest.mark.parametrize("text", ["", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "{}"])
def test_what_is_no_list_is_named(operator: Operator, tmp_path: Path, text: str) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(SettingsError, match="is not a revocation list"):
        read_revocations(tmp_path / "list", operator.authority.pem)


def test_a_node_that_was_never_issued_is_an_error(operator: Operator) -> None:
    for action in (operator.authority.revoke, lambda name, now: operator.authority.renew(name, now, 1)):
        with pytest.raises(SettingsError, match="knows no node board-9"):
            action("board-9", NOW)


@pytest.mark.parametrize("name", ["authority.key", "authority.pem", "nodes.json"])
def test_damaged_files_are_reported_as_such(operator: Operator, name: str) -> None:
    file = operator.directory / name
    file.write_text("rubbish")
    with pytest.raises(SettingsError, match="damaged"):
        Authority(operator.directory)
