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
    OPEN_HANDSHAKES_OF_PROVEN_HOSTS,
    PATIENCE_SECONDS,
    PROVEN_SECONDS,
    SECONDS_PER_FAILURE,
    HandshakeLimiter,
    OpenHandshake,
    network_of,
    prefix_of,
)


def begun(limiter: HandshakeLimiter, host: str, now: float) -> OpenHandshake:
    handshake = limiter.admit(host, now).handshake
    assert handshake is not None, limiter.admit(host, now).reason
    return handshake


def failed(limiter: HandshakeLimiter, host: str, now: float) -> None:
    handshake = begun(limiter, host, now)
    limiter.attempt_failed(handshake, now)
    limiter.attempt_ended(handshake)


def filled(limiter: HandshakeLimiter, now: float = 0.0, network: str = "10.0") -> list[OpenHandshake]:
    """Fill all places from as few hosts of one /24 as that takes."""
    hosts = [f"{network}.0.{number // OPEN_HANDSHAKES_OF_A_HOST}" for number in range(OPEN_HANDSHAKES)]
    return [begun(limiter, host, now) for host in hosts]


def test_a_host_that_keeps_failing_is_refused_until_its_failures_are_forgotten() -> None:
    limiter = HandshakeLimiter()
    for _ in range(FAILURES):
        failed(limiter, "10.0.0.1", 0.0)
    assert limiter.admit("10.0.0.1", 0.0).reason == "rate_limited"
    assert limiter.admit("10.0.0.2", 0.0).handshake, "other hosts are not limited"
    failed(limiter, "10.0.0.1", SECONDS_PER_FAILURE)
    assert limiter.admit("10.0.0.1", SECONDS_PER_FAILURE).reason == "rate_limited"
    assert limiter.admit("10.0.0.1", 1e6).handshake


def test_only_so_many_handshakes_are_open_at_once() -> None:
    limiter = HandshakeLimiter()
    handshakes = filled(limiter)
    assert limiter.admit("10.0.0.0", 0.0).reason == "too_many"
    assert limiter.admit("192.168.0.1", 0.0).reason == "too_many", "all together are bounded, too"
    limiter.attempt_ended(handshakes[0])
    assert limiter.admit("10.0.0.1", 0.0).reason == "too_many", "it holds its share"
    assert limiter.admit("192.168.0.1", 0.0).displaced is None


def test_a_newcomer_takes_the_place_of_the_oldest_of_the_host_that_holds_most() -> None:
    limiter = HandshakeLimiter()
    lonely = begun(limiter, "192.168.0.1", 0.0)
    handshakes = [begun(limiter, f"10.0.0.{number // 4}", 0.1) for number in range(OPEN_HANDSHAKES - 1)]
    assert len(handshakes) % OPEN_HANDSHAKES_OF_A_HOST == 3, "the last host has fewer"
    assert limiter.admit("192.168.0.9", PATIENCE_SECONDS).reason == "too_many", "they have just begun"
    late = 0.1 + PATIENCE_SECONDS
    assert limiter.admit("192.168.0.9", late).displaced is handshakes[0]
    assert lonely in limiter._open
    assert len(limiter._open) == OPEN_HANDSHAKES


def test_silent_handshakes_go_first() -> None:
    limiter = HandshakeLimiter()
    handshakes = filled(limiter)
    for handshake in handshakes:
        handshake.heard = handshake is not handshakes[17]
    assert limiter.admit("192.168.0.1", PATIENCE_SECONDS).displaced is handshakes[17]


def test_many_addresses_of_one_prefix_do_not_push_out_another() -> None:
    limiter = HandshakeLimiter()
    newcomer = begun(limiter, "192.168.0.1", 0.0)
    for number in range(OPEN_HANDSHAKES - 1):
        begun(limiter, f"10.0.0.{number}", 0.0)
    for number in range(100, 200):
        displaced = limiter.admit(f"10.0.0.{number}", PATIENCE_SECONDS * (number - 98)).displaced
        assert displaced is not None
        assert displaced is not newcomer


def test_a_host_displaces_its_own_when_it_has_its_share() -> None:
    limiter = HandshakeLimiter()
    own = [begun(limiter, "10.0.0.1", 0.0) for _ in range(OPEN_HANDSHAKES_OF_A_HOST)]
    begun(limiter, "10.0.0.2", 0.0)
    assert limiter.admit("10.0.0.1", PATIENCE_SECONDS).displaced is own[0]


def test_hosts_that_have_proved_themselves_have_places_of_their_own() -> None:
    limiter = HandshakeLimiter()
    first = begun(limiter, "192.168.0.1", 0.0)
    limiter.attempt_succeeded(first, 0.0)
    limiter.attempt_ended(first)
    filled(limiter, now=1.0)
    admission = limiter.admit("192.168.0.1", 1.0)
    assert admission.handshake is not None
    assert (admission.displaced, admission.handshake.proven) == (None, True)
    assert limiter.admit("192.168.0.2", 1.0).reason == "too_many"
    assert limiter.admit("192.168.0.1", PROVEN_SECONDS).reason == "", "but not for ever"
    assert not begun(limiter, "192.168.0.1", PROVEN_SECONDS + 1).proven


def test_proven_hosts_are_bounded_and_displace_only_each_other() -> None:
    limiter = HandshakeLimiter()
    filled(limiter)
    for number in range(OPEN_HANDSHAKES_OF_PROVEN_HOSTS):
        limiter._proven[f"192.168.0.{number}"] = 0.0
        begun(limiter, f"192.168.0.{number}", 0.0)
    limiter._proven["192.168.1.1"] = 0.0
    assert limiter.admit("192.168.1.1", 0.0).reason == "too_many"
    displaced = limiter.admit("192.168.1.1", PATIENCE_SECONDS).displaced
    assert displaced is not None
    assert displaced.proven


@given(st.integers(0, 2**32))
def test_a_whole_ipv6_network_of_one_owner_counts_as_one(seed: int) -> None:
    draw = random.Random(seed)
    hosts = [f"2001:db8:0:7:{draw.randrange(1 << 16):x}::{draw.randrange(1 << 16):x}" for _ in range(2)]
    assert network_of(hosts[0]) == network_of(hosts[1]) == "2001:db8:0:7::/64"
    assert network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"


def test_prefixes_of_addresses() -> None:
    assert prefix_of("10.1.2.3") == "10.1.2.0/24"
    assert prefix_of("2001:db8:0:7::1") == "2001:db8::/48"
    assert prefix_of("a socket") == "a socket"


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 3), st.booleans()), max_size=300))
def test_no_order_of_attempts_exceeds_the_places(attempts: list[tuple[int, float, bool]]) -> None:
    limiter, now = HandshakeLimiter(), 0.0
    for number, pause, succeeds in attempts:
        now += pause
        admission = limiter.admit(f"10.0.{number % 3}.{number}", now)
        if admission.handshake is not None and succeeds:
            limiter.attempt_succeeded(admission.handshake, now)
        of_host = [each for each in limiter._open if each.host == f"10.0.{number % 3}.{number}"]
        assert len(of_host) <= OPEN_HANDSHAKES_OF_A_HOST
        assert sum(not each.proven for each in limiter._open) <= OPEN_HANDSHAKES
        assert sum(each.proven for each in limiter._open) <= OPEN_HANDSHAKES_OF_PROVEN_HOSTS


def test_many_hosts_take_bounded_memory_and_hide_no_failures() -> None:
    limiter = HandshakeLimiter()
    for number in range(2 * MAX_HOSTS):
        failed(limiter, f"10.0.{number >> 8}.{number & 255}", 0.0)
        if number % 500 == 499:
            handshake = OpenHandshake("10.9.9.9", "10.9.9.0/24", 0.0, proven=False)
            for _ in range(FAILURES):
                limiter.attempt_failed(handshake, 0.0)
        limiter.attempt_succeeded(OpenHandshake(str(number), "", 0.0, proven=False), 0.0)
    assert len(limiter._failed) <= MAX_HOSTS
    assert len(limiter._proven) <= MAX_HOSTS
    assert limiter.admit("10.9.9.9", 0.0).reason == "rate_limited"
