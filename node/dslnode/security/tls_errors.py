"""Failed TLS handshakes as a reason for metrics and an explanation for people, from either side."""

from __future__ import annotations

import ssl

_VERIFY_REASONS = {9: "not_yet_valid", 10: "expired"}  # X509_V_ERR_...
_NOT_TLS = frozenset(
    "HTTP_REQUEST HTTPS_PROXY_REQUEST WRONG_VERSION_NUMBER UNKNOWN_PROTOCOL RECORD_LAYER_FAILURE".split()  # noqa: SIM905
)

_DIALER_PROBLEMS = {
    "no_certificate": "connected without a certificate",
    "unknown_authority": "presents a certificate of another authority",
    "expired": "presents a certificate that has expired, by this board's clock",
    "not_yet_valid": "presents a certificate that is not valid yet; is this board's clock right?",
    "plaintext": "talks without TLS; it was started without a ticket, or is no dslnode",
    "slow_handshake": "did not finish its TLS handshake in time",
    "tls": "broke off the TLS handshake",
}
"""What is wrong with the node that dialled, by reason."""

_LISTENER_PROBLEMS = {
    "unknown_authority": "shows a certificate of another authority than this node's ticket",
    "expired": "shows a certificate that has expired by this board's clock; renew its ticket, or set this clock",
    "not_yet_valid": "shows a certificate that is not valid yet; is this board's clock right?",
    "plaintext": "answers without TLS: it was started without a ticket, and this node talks with nobody unencrypted",
}
"""What is wrong with the node that was dialled, by reason."""

_ALERTS = {
    "TLSV1_ALERT_UNKNOWN_CA": "does not know the authority of this node's ticket",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "says that this node's certificate has expired; renew the ticket here, "
    "or set the clock there",
    "SSLV3_ALERT_BAD_CERTIFICATE": "does not accept this node's certificate; is the clock right there?",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "wants a certificate",
}
"""What the TLS alert means by which the other side refused."""


def reason_of(error: Exception) -> str:
    """Return why a handshake failed, as one of few labels."""
    if isinstance(error, TimeoutError):
        return "slow_handshake"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_REASONS.get(error.verify_code, "unknown_authority")
    reason = getattr(error, "reason", None) or ""
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "no_certificate"
    return "plaintext" if reason in _NOT_TLS else "tls"


def problem_of_dialer(reason: str) -> str:
    """Return, at the listening node, what is wrong with the node that dialled."""
    return _DIALER_PROBLEMS[reason]


def problem_of_listener(error: Exception) -> str:
    """Return, at the dialling node, what is wrong with the node that it dialled."""
    alert = _ALERTS.get(getattr(error, "reason", None) or "")
    if alert is not None:
        return alert
    return _LISTENER_PROBLEMS.get(reason_of(error), f"broke off the TLS handshake ({error or type(error).__name__})")
