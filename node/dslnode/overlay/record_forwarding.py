"""Decides which member records a neighbour is sent now: those that it lacks, within what every receiver allows.

Pure: ``now`` is passed in, in seconds. A record that changes all the time is passed on with pauses (as OSPF does,
RFC 2328, MinLSArrival), so that who changes it cannot have others flood their neighbours. The newest version counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dslnode.protocol.membership import MAX_MEMBERS, MAX_RECORDS, MemberRecord
from dslnode.transport.rate_limit import RECORDS_DEPTH, RECORDS_PER_SECOND, TokenBucket

BUDGET = 0.5
"""Part of a receiver's allowance of records that is used: never the reason for a ban, whatever others send."""
SECONDS_PER_VERSION = 1.0
"""Seconds between two versions of one record, once ``BURST_VERSIONS`` have followed each other faster."""
BURST_VERSIONS = 5
MAX_BATCH_BYTES = 48 * 1024
"""Bytes of the records in one frame, so that it stays within gRPC's bound."""


@dataclass
class _Sent:
    """What a neighbour has of a node: the version, the certificate, and when a burst of versions would be over."""

    version: int
    certificate: bytes
    burst_ends: float = 0.0  # seconds


class RecordForwarding:
    """What one neighbour has been sent, or has sent itself. The budget outlives its links."""

    def __init__(self) -> None:
        self._sent: dict[str, _Sent] = {}
        self._budget = TokenBucket(BUDGET * RECORDS_PER_SECOND, depth=BUDGET * RECORDS_DEPTH)

    def link_opened(self) -> None:
        """Forget what the neighbour has: its memory may have ended with the last link."""
        self._sent.clear()

    def arrived(self, record: MemberRecord) -> None:
        """Note that the neighbour has a record: it has sent it."""
        sent = self._note(record)
        sent.version = max(sent.version, record.version)

    @property
    def versions(self) -> dict[str, int]:
        """The version of each node's record that the neighbour has, by key."""
        return {key: sent.version for key, sent in self._sent.items()}

    def batch(self, lacking: Iterable[MemberRecord], now: float) -> tuple[MemberRecord, ...]:
        """Return which of the records that the neighbour lacks are sent now, in one frame; none if it must wait."""
        chosen: list[MemberRecord] = []
        size = 0
        for record in lacking:
            outgoing = self._without_known_certificate(record)
            size += outgoing.size
            if len(chosen) == MAX_RECORDS or size > MAX_BATCH_BYTES or not self._budget.allows(1, now):
                break
            if self._is_paused(record.key, now):
                continue
            self._budget.consume(1, now)
            self._mark_sent(record, now)
            chosen.append(outgoing)
        return tuple(chosen)

    def _is_paused(self, key: str, now: float) -> bool:
        sent = self._sent.get(key)
        return sent is not None and sent.burst_ends - now > (BURST_VERSIONS - 1) * SECONDS_PER_VERSION

    def _mark_sent(self, record: MemberRecord, now: float) -> None:
        sent = self._note(record)
        sent.version, sent.certificate = record.version, record.certificate
        sent.burst_ends = max(now, sent.burst_ends) + SECONDS_PER_VERSION

    def _without_known_certificate(self, record: MemberRecord) -> MemberRecord:
        sent = self._sent.get(record.key)
        known = sent is not None and sent.certificate == record.certificate
        return replace(record, certificate=b"") if known else record

    def _note(self, record: MemberRecord) -> _Sent:
        if record.key not in self._sent and len(self._sent) > 2 * MAX_MEMBERS:
            self._sent.clear()  # most are of nodes that were forgotten meanwhile
        return self._sent.setdefault(record.key, _Sent(0, record.certificate))
