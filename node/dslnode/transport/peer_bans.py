"""Whom not to talk with for a while, because it broke the rules: decisions only; times are handed in, in seconds.

The first time is short, so that an honest neighbour whom a fault of the network or a bug made look bad is soon back;
it doubles with every offence that follows, up to a bound. After as long a time without offence all is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_BAN_SECONDS = 5.0
LONGEST_BAN_SECONDS = 3_600.0
"""Also how long after its release a neighbour has to behave for the next term to be a first one again."""
MAX_BANS = 1_000
VIOLATIONS = frozenset(
    "bad_holding bad_step checksum chunk_size codec far_future flood garbage mask_bits mask_kind mask_size slow "  # noqa: SIM905
    "too_many unexpected_chunk unexpected_frame unexpected_header".split()
)
"""Reasons that are the neighbour's fault in a conversation. Who does not match is refused, but has done no harm."""


@dataclass(frozen=True)
class Ban:
    """Why a neighbour was shut out last, for how long, and when that ends."""

    reason: str
    term: float
    until: float


class PeerBans:
    """Remembers by neighbour key, whatever becomes of its links."""

    def __init__(self) -> None:
        self._cases: dict[str, Ban] = {}

    def offended(self, key: str, reason: str, now: float) -> float:
        """Take in an offence; return for how many seconds the neighbour is shut out. Other reasons are none: 0.

        Of who is shut out already it changes nothing.
        """
        if reason not in VIOLATIONS:
            return 0.0
        if left := self.seconds_left(key, now):  # what was on its way already
            return left
        former = self._cases.pop(key, None)
        again = former is not None and now < former.until + LONGEST_BAN_SECONDS
        term = min(LONGEST_BAN_SECONDS, 2 * former.term) if former is not None and again else FIRST_BAN_SECONDS
        if len(self._cases) >= MAX_BANS:
            self._forget_one()
        self._cases[key] = Ban(reason, term, now + term)
        return term

    def reason(self, key: str, now: float) -> str:
        """Return why a neighbour is shut out now; empty if it is not."""
        return self._cases[key].reason if self.seconds_left(key, now) else ""

    def seconds_left(self, key: str, now: float) -> float:
        """Return for how long a neighbour is shut out still; 0 if it is not."""
        case = self._cases.get(key)
        return 0.0 if case is None else max(0.0, case.until - now)

    def _forget_one(self) -> None:
        """Forget whose term ends, or ended, first: an offender with few offences, or long ago."""
        del self._cases[min(self._cases, key=lambda key: self._cases[key].until)]
