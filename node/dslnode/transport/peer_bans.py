"""Timed refusals of neighbours that broke a rule. Decisions only: ``now`` is passed in, in seconds.

The first ban is short: an honest neighbour that a network fault or a bug made look bad is soon back. The duration
doubles with each further violation, up to a bound. All is forgotten after the longest duration without a violation.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_BAN_SECONDS = 5.0
LONGEST_BAN_SECONDS = 3_600.0
"""Also the time without a violation, after a ban ended, that makes the next ban a first one again."""
MAX_BANS = 1_000
VIOLATIONS = frozenset(
    "bad_holding bad_step checksum chunk_size codec far_future flood forged garbage mask_bits mask_kind mask_size slow "  # noqa: SIM905
    "too_many unexpected_chunk unexpected_frame unexpected_header".split()
)
"""Reasons that ban: faults on an open link. A peer that only does not match is refused and not banned."""


@dataclass(frozen=True)
class Ban:
    """A neighbour's last ban. Times are in seconds of the caller's clock."""

    reason: str
    duration_seconds: float
    until: float


class PeerBans:
    """The bans of a node, by neighbour key. They outlive links."""

    def __init__(self) -> None:
        self._bans: dict[str, Ban] = {}

    def report_violation(self, key: str, reason: str, now: float) -> float:
        """Ban a neighbour if the reason is a violation; return the seconds for which it is banned, 0 if it is not.

        A violation during a ban changes nothing: the message was on its way already.
        """
        if reason not in VIOLATIONS:
            return 0.0
        if left := self.seconds_left(key, now):
            return left
        former = self._bans.pop(key, None)
        if former is not None and now < former.until + LONGEST_BAN_SECONDS:
            duration = min(LONGEST_BAN_SECONDS, 2 * former.duration_seconds)
        else:
            duration = FIRST_BAN_SECONDS
        if len(self._bans) >= MAX_BANS:
            self._forget_oldest()
        self._bans[key] = Ban(reason, duration, now + duration)
        return duration

    def reason(self, key: str, now: float) -> str:
        """Return why a neighbour is banned now; empty if it is not."""
        return self._bans[key].reason if self.seconds_left(key, now) else ""

    def seconds_left(self, key: str, now: float) -> float:
        """Return for how many seconds a neighbour is still banned; 0 if it is not."""
        ban = self._bans.get(key)
        return 0.0 if ban is None else max(0.0, ban.until - now)

    def _forget_oldest(self) -> None:
        """Forget the ban that ends, or ended, first: of a neighbour with few violations, or with old ones."""
        del self._bans[min(self._bans, key=lambda key: self._bans[key].until)]
