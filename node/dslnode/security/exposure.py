"""What a node may open without a ticket: it stays on loopback unless ``--insecure`` allows more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dslnode.addresses import host_and_port, is_loopback
from dslnode.errors import SettingsError

REMEDY = (
    "start with --ticket FILE (made by `dslnode ca issue`), stay on 127.0.0.1, "
    "or say --insecure if you trust everybody in that network"
)


def check_exposure(listen: str, peers: Sequence[str], ticket: Path | None, *, insecure: bool) -> None:
    """Raise ``SettingsError`` if the node would talk beyond this machine without TLS."""
    if ticket is not None and insecure:
        raise SettingsError("--ticket and --insecure contradict each other; leave one of them out")
    if ticket is not None or insecure:
        return
    if not is_loopback(host_and_port(listen)[0]):
        raise SettingsError(
            f"--listen {listen} would let in whoever reaches this port, unknown and unencrypted; {REMEDY}"
        )
    for peer in peers:
        if not is_loopback(host_and_port(peer)[0]):
            raise SettingsError(f"--peers {peer} would be talked with unencrypted, whoever answers there; {REMEDY}")
