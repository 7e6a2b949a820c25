"""Turns what happens to links into events of the round machine, lines of the log, and events of the node."""

from __future__ import annotations

import time
from collections.abc import Callable

from dslnode.overlay.peer_problems import ProblemLog
from dslnode.protocol import events
from dslnode.protocol.round_deadline import RoundDeadline
from dslnode.runtime.node_events import NodeEvent, PeerDown, PeerUp
from dslnode.runtime.traffic_accounting import TrafficAccounting
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.metrics import Metrics
from dslnode.transport import link_events
from dslnode.transport.handshake import ORDERLY


class Refusals:
    """Counts what was refused, and logs it, each problem once."""

    def __init__(self, *, metrics: Metrics, problems: ProblemLog) -> None:
        self._metrics = metrics
        self._problems = problems

    def add(self, peer: str, reason: str, explanation: str) -> None:
        """Take in that ``peer``, a name or an address, was refused."""
        self._metrics.refused.labels(reason).inc()
        self._problems.peer_refused(peer, reason, explanation)


class EventBridge:
    """Takes in link events on the event loop's thread.

    ``post`` feeds the round machine, ``publish`` tells the program that embeds the node; ``clock`` is in seconds.
    """

    def __init__(
        self,
        *,
        post: Callable[[events.Event], None],
        publish: Callable[[NodeEvent], None],
        accounting: TrafficAccounting,
        deadline: RoundDeadline,
        problems: ProblemLog,
        refusals: Refusals,
        log: Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._post = post
        self._publish = publish
        self._accounting = accounting
        self._deadline = deadline
        self._problems = problems
        self._refusals = refusals
        self._log = log
        self._clock = clock

    def handle(self, event: link_events.LinkEvent) -> None:
        """Take in one event."""
        match event:
            case link_events.LinkUp():
                self._link_up(event)
            case link_events.LinkDown(neighbour, why):
                self._log.info("neighbour down", neighbour=neighbour.name, why=why)
                self._post(events.PeerDown(neighbour.key))
                self._publish(PeerDown(neighbour.name, neighbour.key, why))
            case link_events.MaskArrived(neighbour, message):
                self._deadline.message_arrived(neighbour.key, self._clock())
                self._post(events.Received(neighbour.key, message))
            case link_events.ExchangeStateArrived(neighbour, state):
                self._post(events.ExchangeStateReceived(neighbour.key, state))
            case link_events.IntervalRequested(neighbour, interval):
                self._accounting.scheduler.on_interval_request(neighbour.key, interval)
            case link_events.PeerRefused(address, reason, explanation) if reason not in ORDERLY:
                self._refusals.add(address, reason, explanation)
            case link_events.DialFailed(address, why):
                self._problems.peer_unreachable(address, why)

    def _link_up(self, event: link_events.LinkUp) -> None:
        neighbour, address = event.neighbour, event.address
        self._problems.resolved(address)
        self._accounting.link_up(neighbour, address)
        self._log.info("neighbour up", neighbour=neighbour.name, address=address, its_round=event.round)
        self._post(events.PeerUp(neighbour.key, event.round))
        self._publish(PeerUp(neighbour.name, neighbour.key))
