"""A network of members for each test, with pauses that suit tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dslnode.overlay import announced_dials, peer_manager, split_alert
from dslnode.transport import dialer
from tests.overlay.members import Network
from tests.transport.nodes import loopback


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_PAUSE", 0.02), ("LONGEST_PAUSE", 0.1), ("CONNECT_SECONDS", 0.5)):
        monkeypatch.setattr(dialer, name, seconds)
    for name, seconds in (("TICK_SECONDS", 0.05), ("DEBOUNCE_SECONDS", 0.01)):
        monkeypatch.setattr(peer_manager, name, seconds)
    for name, seconds in (("PROBE_SECONDS", 0.05), ("MAX_BACKOFF_SECONDS", 0.2), ("UNPROVEN_PAUSE_SECONDS", 0.1)):
        monkeypatch.setattr(announced_dials, name, seconds)
    monkeypatch.setattr(split_alert, "SPLIT_GRACE_SECONDS", 0.1)


@pytest_asyncio.fixture
async def network() -> AsyncIterator[Network]:
    async with loopback() as net:
        yield Network(net)
