"""Token buckets: an honest neighbour never notices them, a flood does at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dslnode.transport.rate_limit import (
    DEPTH_SECONDS,
    MASKS_PER_SECOND,
    MESSAGES_PER_SECOND,
    MIN_BYTES_PER_SECOND,
    PeerRateLimit,
    TokenBucket,
)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 100)), max_size=50), st.floats(0.1, 100))
def test_never_more_than_the_depth_and_what_the_rate_brought(takes: list[tuple[float, float]], rate: float) -> None:
    bucket, now, granted = TokenBucket(rate), 0.0, 0.0
    for pause, amount in takes:
        now += pause
        granted += amount if bucket.consume(amount, now) else 0
        assert granted <= 1.000001 * rate * (DEPTH_SECONDS + now)


def test_a_steady_neighbour_at_the_rate_goes_on_for_ever() -> None:
    bucket = TokenBucket(10.0)
    assert all(bucket.consume(10, float(second)) for second in range(1_000))


def test_who_went_over_the_rate_waits_for_as_long_as_it_went_over() -> None:
    bucket = TokenBucket(10.0)
    assert bucket.consume(50, 0)
    assert not bucket.consume(50, 0)
    assert not bucket.consume(1, 5.0)
    assert bucket.consume(1, 5.2)


def test_a_clock_that_goes_back_brings_nothing() -> None:
    bucket = TokenBucket(10.0)
    assert bucket.consume(50, 100.0)
    assert not bucket.consume(1, 0.0)


def test_messages_and_bytes_are_limited_each_and_the_complaint_says_which() -> None:
    many, large = PeerRateLimit(100), PeerRateLimit(100)
    assert not any(many.consume(1, 0) for _ in range(int(MESSAGES_PER_SECOND * DEPTH_SECONDS)))
    assert many.consume(1, 0) == "sends more than 1000 messages a second"
    assert not large.consume(int(MIN_BYTES_PER_SECOND * DEPTH_SECONDS), 0)
    assert large.consume(1, 0) == "sends more than 1000000 bytes a second"


def test_large_masks_get_a_rate_of_their_own() -> None:
    assert not PeerRateLimit(1_000_000).consume(int(MASKS_PER_SECOND * 1_000_000 * DEPTH_SECONDS), 0)
