"""Bounds the calls that one peer may have open, and keeps room for links.

gRPC serves a fixed number of calls at once. Without a bound per peer, two peers could hold all of them with idle
health watches, and no neighbour would get in.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio

MAX_CALLS_OF_A_PEER = 8
MAX_CALLS_BESIDE_LINKS = 64
"""Calls of all peers that are no links: status, ledger, health, reflection, dialling back."""
CALL_SECONDS = 600.0
"""A call that is no link ends after so long; who watches calls again."""
TOO_LONG = f"a call takes {CALL_SECONDS:g} s at most"
FULL = "this node serves enough calls of yours; end some, or try again later"


class CallSlots:
    """The calls that are open now, of each peer. Links are counted as well, but only limited per peer."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._beside_links = 0
        self._refused: set[str] = set()

    @property
    def in_use(self) -> int:
        """The number of open calls that are no links."""
        return self._beside_links

    def take(self, peer: str, *, link: bool) -> bool:
        """Take a slot for a call of ``peer``; False if there is none. ``give_back`` returns one that was taken."""
        if self._open[peer] >= MAX_CALLS_OF_A_PEER or (not link and self._beside_links >= MAX_CALLS_BESIDE_LINKS):
            return False
        self._open[peer] += 1
        self._beside_links += not link
        return True

    def give_back(self, peer: str, *, link: bool) -> None:
        """Return a slot."""
        self._open[peer] -= 1
        self._beside_links -= not link
        if not self._open[peer]:
            del self._open[peer]
            self._refused.discard(peer)

    def is_news(self, peer: str) -> bool:
        """Tell whether this is the first refusal of a peer since it last had no call open."""
        new = peer not in self._refused and bool(self._open[peer])
        if new:
            self._refused.add(peer)
        return new


class CallLimiter(grpc.aio.ServerInterceptor):
    """Gives each call a slot, or refuses it with ``RESOURCE_EXHAUSTED``.

    ``peer_of`` returns who calls, from gRPC's name of the peer. ``refused`` is called with that name once for each
    peer that has too many. Calls whose path is in ``links`` may last for ever, others ``CALL_SECONDS``.
    """

    def __init__(
        self, slots: CallSlots, links: frozenset[str], peer_of: Callable[[str], str], refused: Callable[[str], None]
    ) -> None:
        self._slots = slots
        self._links = links
        self._peer_of = peer_of
        self._refused = refused

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the handler of a call, wrapped so that it has a slot while it runs."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        link = handler_call_details.method in self._links
        for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            method = getattr(handler, kind)
            if method is not None:
                answers_once = kind.endswith("unary")
                return handler._replace(**{kind: self._limited(method, link=link, answers_once=answers_once)})
        return handler

    def _limited(
        self, method: Callable[[Any, Any], Any], *, link: bool, answers_once: bool
    ) -> Callable[[Any, Any], Any]:
        if inspect.isasyncgenfunction(method):

            async def replies(request: Any, context: Any) -> AsyncIterator[Any]:
                async with self._slot(context, link=link):
                    async for reply in method(request, context):
                        yield reply

            return replies

        async def reply(request: Any, context: Any) -> Any:
            async with self._slot(context, link=link):
                return await method(request, context)
            if answers_once:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, TOO_LONG)
            return None

        return reply

    @contextlib.asynccontextmanager
    async def _slot(self, context: Any, *, link: bool) -> AsyncIterator[None]:
        peer = self._peer_of(context.peer())
        if not self._slots.take(peer, link=link):
            if self._slots.is_news(peer):
                self._refused(context.peer())
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, FULL)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if link else CALL_SECONDS):
                    yield
        finally:
            self._slots.give_back(peer, link=link)
