"""Limits on the handshakes of a host."""

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


def test_a_host_that_keeps_failing_is_refused_until_its_failures_are_forgotten() -> None:
    limiter = HandshakeLimiter()
    for _ in range(FAILURES):
        assert limiter.refusal_reason("10.0.0.1", 0.0) is None
        limiter.attempt_failed("10.0.0.1", 0.0)
    assert limiter.refusal_reason("10.0.0.1", 0.0) == "rate_limited"
    assert limiter.refusal_reason("10.0.0.2", 0.0) is None, "other hosts are not limited"
    assert limiter.refusal_reason("10.0.0.1", SECONDS_PER_FAILURE) is None
    limiter.attempt_failed("10.0.0.1", SECONDS_PER_FAILURE)
    assert limiter.refusal_reason("10.0.0.1", SECONDS_PER_FAILURE) == "rate_limited"
    assert limiter.refusal_reason("10.0.0.1", 1e6) is None


def test_only_so_many_handshakes_are_open_at_once() -> None:
    limiter = HandshakeLimiter()
    for number in range(OPEN_HANDSHAKES):
        host = f"10.0.0.{number // OPEN_HANDSHAKES_OF_A_HOST}"
        assert limiter.refusal_reason(host, 0.0) is None
        limiter.attempt_started(host)
    assert limiter.refusal_reason("10.0.0.0", 0.0) == "too_many"
    assert limiter.refusal_reason("10.0.0.99", 0.0) == "too_many", "all together are bounded, too"
    limiter.attempt_ended("10.0.0.0")
    assert limiter.refusal_reason("10.0.0.99", 0.0) is None
    assert limiter.refusal_reason("10.0.0.1", 0.0) == "too_many"


@given(st.integers(0, 2**32))
def test_a_whole_ipv6_network_of_one_owner_counts_as_one(seed: int) -> None:
    draw = random.Random(seed)
    hosts = [f"2001:db8:0:7:{draw.randrange(1 << 16):x}::{draw.randrange(1 << 16):x}" for _ in range(2)]
    assert network_of(hosts[0]) == network_of(hosts[1]) == "2001:db8:0:7::/64"
    assert network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"


def test_many_hosts_take_bounded_memory_and_hide_no_failures() -> None:
    limiter = HandshakeLimiter()
    for number in range(2 * MAX_HOSTS):
        limiter.attempt_failed(f"10.0.{number >> 8}.{number & 255}", 0.0)
        for _ in range(FAILURES if number % 500 == 499 else 0):
            limiter.attempt_failed("10.9.9.9", 0.0)
    assert len(limiter._failed) <= MAX_HOSTS
    assert limiter.refusal_reason("10.9.9.9", 0.0) == "rate_limited"
