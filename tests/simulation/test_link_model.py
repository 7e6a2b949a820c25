"""What a line costs: bits over its rate, delay, and packets that are sent again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dslnode.errors import SettingsError
from dslnode.simulation.link_model import (
    HEADER_BYTES,
    LEAST_SECONDS,
    TLS_BYTES,
    LinkModel,
    least_seconds,
    parse_link,
    transfer,
)


def draws() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(1))


def test_rate_delay_and_loss_are_read_in_any_order() -> None:
    assert parse_link("50kbit/s,200ms,2%") == LinkModel(50_000, 0.2, 0.02)
    assert parse_link("0.5%, 1.5 Mbit/s") == LinkModel(1_500_000, 0.0, 0.005)
    assert parse_link("") == LinkModel(math.inf, 0.0, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "fast",
        "50",
        "50kbit",
        "1ms,2ms",
        "0bit/s",
        "60%",
        "1e9bit/s",
        "-1ms",
        "0.000000001bit/s",
        "0.9bit/s",
        "86401s",
        ",,",
        "1ms,",
    ],
)
def test_what_is_no_link_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--link"):
        parse_link(text)


def test_a_message_takes_its_line_for_its_bits_and_arrives_after_the_delay() -> None:
    cost = transfer(LinkModel(8_000, 0.5, 0.0), 1_000, draws())
    assert cost.wire_bytes == 1_000 + TLS_BYTES + 2 * HEADER_BYTES
    assert cost.resent_bytes == 0
    assert cost.busy_seconds == pytest.approx(cost.wire_bytes / 1_000)
    assert cost.seconds == pytest.approx(cost.busy_seconds + 0.5)


def test_lost_packets_are_sent_again_after_a_round_trip() -> None:
    link, generator = LinkModel(1e6, 0.1, 0.2), draws()
    costs = [transfer(link, 30_000, generator) for _ in range(400)]
    share = sum(cost.resent_bytes for cost in costs) / sum(cost.wire_bytes for cost in costs)
    assert share == pytest.approx(0.2 / 0.8, rel=0.1)
    assert all(cost.seconds >= cost.busy_seconds + 0.1 for cost in costs)
    assert max(cost.seconds - cost.busy_seconds for cost in costs) > 0.3


def test_an_unlimited_line_is_never_taken_and_no_message_arrives_at_once() -> None:
    cost = transfer(LinkModel(), 10**6, draws())
    assert cost.busy_seconds == 0
    assert cost.seconds == LEAST_SECONDS


@pytest.mark.parametrize("link", [LinkModel(), LinkModel(50_000, 0.2), LinkModel(9_600), LinkModel(1e9, 1e-5)])
def test_nothing_takes_less_than_the_least_seconds(link: LinkModel) -> None:
    generator = draws()
    assert min(transfer(link, size, generator).seconds for size in range(1, 3_000, 7)) >= least_seconds(link)
    assert transfer(link, 1, generator).seconds == pytest.approx(least_seconds(link), rel=0.1)
