"""Certificates and revocation lists to values. ``cryptography`` checks the signature of a list."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dslnode.errors import SettingsError
from dslnode.security.identity import Identity, Revocations, node_id_of
from dslnode.security.secret_files import read_text

UNREADABLE = (
    *(ValueError, TypeError, x509.InvalidVersion, x509.ExtensionNotFound),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm),
)
"""What ``cryptography`` raises for bytes that are no certificate or list. Not all are ``ValueError``s."""


def read_identity(certificate: x509.Certificate) -> Identity:
    """Return the identity in a certificate; ``ValueError`` if it is not a node's. Its signature is not checked."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except UNREADABLE as error:
        raise ValueError("is not the certificate of a node") from error
    return Identity(
        node_id=node_id_of(names.get_values_for_type(x509.UniformResourceIdentifier)),
        name=str(common_names[0].value) if common_names else "",
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def identity_from_pem(pem: str) -> Identity:
    """Return the identity in the first certificate of a PEM text; ``ValueError`` if there is none."""
    return read_identity(load_certificate(pem))


def identity_from_der(der: bytes) -> Identity:
    """Return the identity in a DER certificate, as TLS gives it; ``ValueError`` if it is not a node's."""
    try:
        certificate = x509.load_der_x509_certificate(der)
    except UNREADABLE as error:
        raise ValueError("cannot be read") from error
    return read_identity(certificate)


def load_certificate(pem: str) -> x509.Certificate:
    """Return the first certificate of a PEM text; ``ValueError`` if there is none."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except UNREADABLE as error:
        raise ValueError("cannot be read") from error


def authority_key(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the public key in an authority's certificate; ``ValueError`` if it is not one of ours."""
    try:
        key = load_certificate(pem).public_key()
    except UNREADABLE as error:
        raise ValueError("cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("is no elliptic-curve key")
    return key


def read_revocations(file: Path, authority_pem: str) -> Revocations:
    """Return the revocation list (RFC 5280, PEM) in a file; ``SettingsError`` unless this authority signed it."""
    text = read_text(file)
    try:
        key = authority_key(authority_pem)
        signed = x509.load_pem_x509_crl(text.encode())
        number = signed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except UNREADABLE as error:
        raise SettingsError(f"{file}: is not a revocation list; copy the one that `dslnode ca revoke` wrote") from error
    if not signed.is_signature_valid(key):
        raise SettingsError(f"{file}: is signed by another authority than the one in the ticket; it is not trusted")
    return Revocations(number, frozenset(entry.serial_number for entry in signed))
