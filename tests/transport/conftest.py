"""A loopback network for each test, with pauses that suit tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dslnode.transport import dialer
from tests.transport.nodes import Loopback, loopback


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(dialer, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(dialer, "CONNECT_SECONDS", 0.5)


@pytest_asyncio.fixture
async def net() -> AsyncIterator[Loopback]:
    """Give a test its loopback network."""
    async with loopback() as nodes:
        yield nodes
