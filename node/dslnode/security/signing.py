"""Makes X.509 certificates and revocation lists (RFC 5280), signed by ECDSA keys on P-256."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dslnode.security.identity import SERVER_NAME, URI_SCHEME

BACKDATED = timedelta(days=1)
"""Certificates are valid from a day before they were made, for boards whose clocks are slow."""

LIST_VALIDITY = timedelta(days=3650)
"""Validity of a revocation list. X.509 requires one; an old list is better than none, so it is long."""

Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a private key as PEM, unencrypted: the file's permissions protect it."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def authority_certificate(key: ec.EllipticCurvePrivateKey, now: datetime, ends: datetime) -> x509.Certificate:
    """Return the authority's own certificate. It may sign nodes' certificates, and no other authority's."""
    serial = x509.random_serial_number()
    subject = _name(f"dslnode authority {serial:x}"[:64])
    builder = _builder(subject, subject, key.public_key(), serial, (now, ends))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_others=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def node_certificate(
    signer: Signer, key: ec.EllipticCurvePublicKey, node: tuple[str, str], now: datetime, ends: datetime
) -> x509.Certificate:
    """Return the certificate of a node, given its name and its node id in hex."""
    authority, authority_key = signer
    node_name, node_id = node
    names = [x509.UniformResourceIdentifier(URI_SCHEME + node_id), x509.DNSName(SERVER_NAME)]
    tls_usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    serial = x509.random_serial_number()
    builder = _builder(_name(node_name), authority.subject, key, serial, (now, ends))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_others=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(tls_usages), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return builder.add_extension(issuer, critical=False).sign(authority_key, hashes.SHA256())


def revocation_list(signer: Signer, number: int, serials: Iterable[int], now: datetime) -> str:
    """Return a signed list of the serials as PEM."""
    authority, authority_key = signer
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
    builder = builder.last_update(now).next_update(now + LIST_VALIDITY)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    now, ends = validity
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(serial).not_valid_before(now - BACKDATED).not_valid_after(ends)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        key_cert_sign=signs_others,
        crl_sign=signs_others,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
