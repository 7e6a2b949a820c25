"""Who may knock how often."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dslnode.security.handshake_limiter import (
    FAILURES,
    MAX_HOSTS,
    OPEN_HANDSHAKES,
    OPEN_HANDSHAKES_OF_A_HOST,
    SECONDS_PER_FAILURE,
    HandshakeLimiter,
    network_of,
)


def test_a_host_that_keeps_failing_is_turned_away_and_let_in_again_in_time() -> None:
    screening = HandshakeLimiter()
    for _ in range(FAILURES):
        assert screening.refusal_reason("10.0.0.1", 0.0) is None
        screening.attempt_failed("10.0.0.1", 0.0)
    assert screening.refusal_reason("10.0.0.1", 0.0) == "rate_limited"
    assert screening.refusal_reason("10.0.0.2", 0.0) is None, "others are not held to account for it"
    assert screening.refusal_reason("10.0.0.1", SECONDS_PER_FAILURE) is None
    screening.attempt_failed("10.0.0.1", SECONDS_PER_FAILURE)
    assert screening.refusal_reason("10.0.0.1", SECONDS_PER_FAILURE) == "rate_limited"
    assert screening.refusal_reason("10.0.0.1", 1e6) is None


def test_only_so_many_handshakes_are_open_at_once() -> None:
    screening = HandshakeLimiter()
    for number in range(OPEN_HANDSHAKES):
        host = f"10.0.0.{number // OPEN_HANDSHAKES_OF_A_HOST}"
        assert screening.refusal_reason(host, 0.0) is None
        screening.attempt_started(host)
    assert screening.refusal_reason("10.0.0.0", 0.0) == "too_many"
    assert screening.refusal_reason("10.0.0.99", 0.0) == "too_many", "all together are bounded, too"
    screening.attempt_ended("10.0.0.0")
    assert screening.refusal_reason("10.0.0.99", 0.0) is None
    assert screening.refusal_reason("10.0.0.1", 0.0) == "too_many"


@given(st.integers(0, 2**32))
def test_a_whole_ipv6_network_of_one_owner_counts_as_one(seed: int) -> None:
    draw = random.Random(seed)
    hosts = [f"2001:db8:0:7:{draw.randrange(1 << 16):x}::{draw.randrange(1 << 16):x}" for _ in range(2)]
    assert network_of(hosts[0]) == network_of(hosts[1]) == "2001:db8:0:7::/64"
    assert network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"


def test_strangers_cannot_fill_the_memory_nor_wash_off_what_they_did() -> None:
    screening = HandshakeLimiter()
    for number in range(2 * MAX_HOSTS):
        screening.attempt_failed(f"10.0.{number >> 8}.{number & 255}", 0.0)
        for _ in range(FAILURES if number % 500 == 499 else 0):
            screening.attempt_failed("10.9.9.9", 0.0)
    assert len(screening._failed) <= MAX_HOSTS
    assert screening.refusal_reason("10.9.9.9", 0.0) == "rate_limited"
