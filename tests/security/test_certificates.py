"""Certificates and revocation lists that are damaged anywhere are read, or refused in this project's words."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import pytest

from dslnode.errors import SettingsError
from dslnode.security.certificates import identity_from_der, identity_from_pem, read_revocations
from dslnode.security.ticket import read_ticket
from tests.networks import Operator


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_certificate_with_any_bit_flipped_is_read_or_refused(tmp_path: Path) -> None:
    """``cryptography`` raises no ``ValueError`` for an unknown version, nor for a name of the wrong type."""
    ticket = read_ticket(Operator(tmp_path / "authority").ticket("board"))
    der = ssl.PEM_cert_to_DER_cert(ticket.certificate)
    assert identity_from_der(der) == identity_from_pem(ticket.certificate)
    for bit in range(8 * len(der)):
        damaged = bytearray(der)
        damaged[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(ValueError):
            identity_from_der(bytes(damaged))


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        identity_from_pem(text)


def test_a_revocation_list_with_any_letter_changed_is_refused(tmp_path: Path) -> None:
    operator = Operator(tmp_path / "authority")
    authority, text = read_ticket(operator.ticket("board")).authority, operator.revoked.read_text()
    whole = read_revocations(operator.revoked, authority)
    for place in range(len(text)):
        operator.revoked.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])
        with contextlib.suppress(SettingsError):
            assert read_revocations(operator.revoked, authority) == whole
