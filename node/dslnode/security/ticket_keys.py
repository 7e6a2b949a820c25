"""Signatures by the keys of tickets, and the certificates that say whose a key is."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dslnode.security.certificates import UNREADABLE, authority_key, load_certificate, read_identity
from dslnode.security.identity import Identity
from dslnode.security.ticket import Ticket

ALGORITHM = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True)
class NodeCertificate:
    """A certificate that the authority has signed: whose it is, and the key that it certifies."""

    der: bytes
    identity: Identity
    key: ec.EllipticCurvePublicKey

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        """Return whether the node has signed this."""
        try:
            self.key.verify(signature, content, ALGORITHM)
        except InvalidSignature:
            return False
        return True


def read_node_certificate(der: bytes, authority_pem: str) -> NodeCertificate:
    """Return a node's certificate, valid now or not; ``ValueError`` unless this authority has signed it."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        identity, key = read_identity(certificate), certificate.public_key()
        algorithm = certificate.signature_hash_algorithm
        if not isinstance(key, ec.EllipticCurvePublicKey) or algorithm is None:
            raise ValueError("is not one of ours")
        authority = authority_key(authority_pem)
        authority.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
    except (*UNREADABLE, InvalidSignature) as error:
        raise ValueError("is no certificate of this authority") from error
    return NodeCertificate(der, identity, key)


def signed_by_ticket(ticket: Ticket, content: bytes) -> tuple[bytes, bytes]:
    """Return the signature of a ticket's key, and its certificate, both DER."""
    key = serialization.load_pem_private_key(ticket.key.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key of a ticket is an elliptic-curve key: TLS has read it")
    certificate = load_certificate(ticket.certificate).public_bytes(serialization.Encoding.DER)
    return key.sign(content, ALGORITHM), certificate
