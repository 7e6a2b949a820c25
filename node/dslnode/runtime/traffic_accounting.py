"""Ledger and data plan of a running node in one place, for the daemon."""

from __future__ import annotations

from collections.abc import Iterator

from dslnode.accounting.bookkeeper import Bookkeeper
from dslnode.accounting.exchange_pacing import ExchangeScheduler, Usage
from dslnode.accounting.ledger_messages import row_messages
from dslnode.accounting.ledger_metrics import LedgerCollector
from dslnode.config.quantities import parse_cap
from dslnode.config.settings import Settings
from dslnode.protocol.codec.mask_codec import Layouts
from dslnode.runtime.checkpoint import StateDirectory
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.metrics import Metrics
from dslnode.telemetry.node_status import NodeStatus
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.handshake import NodeInfo
from dslnode.v1 import node_pb2 as pb


class TrafficAccounting:
    """Ledger and data plan: it is opened before anything moves, ``scheduler`` is asked in every round."""

    def __init__(
        self,
        settings: Settings,
        layouts: Layouts,
        network: ConnectionManager,
        status: NodeStatus,
        metrics: Metrics,
        *,
        state: StateDirectory | None,
        log: Logger,
    ) -> None:
        cap = parse_cap(settings.data_cap) if settings.data_cap else None
        self.bookkeeper = Bookkeeper(
            network,
            None if state is None else state.path,
            log,
            count_failure=lambda: metrics.count_save_failure("ledger"),
        )
        self._cap_bytes = 0 if cap is None else cap.max_bytes
        self.scheduler = ExchangeScheduler(cap, largest_cost(settings, layouts), network, self.bookkeeper)
        metrics.registry.register(LedgerCollector(self.bookkeeper.totals, status.name_of, self.scheduler.usage))
        self._status = status

    def open(self) -> None:
        """Load the ledger before anything moves. Raises ``StateError``.

        One that was damaged beyond its copy may have held all of the cap: it counts as used up, so that it holds.
        """
        self.bookkeeper.open(self._cap_bytes)

    def link_up(self, neighbour: NodeInfo, address: str) -> None:
        """Take in that a link is open: remember the neighbour, and announce the interval of exchanges to it."""
        self._status.add_neighbour(neighbour, address)
        self.scheduler.link_up(neighbour.key)

    async def run(self) -> None:
        """Book traffic, adapt the interval, and save the ledger until cancelled."""
        await self.bookkeeper.run(self.scheduler.update_interval)

    def reply(self) -> pb.StatusReply:
        """Return the status reply, with what the node used."""
        reply = self._status.reply()
        self.bookkeeper.book()
        reply.usage.CopyFrom(_usage_frame(self.scheduler.usage()))
        return reply

    def rows(self, period: str) -> Iterator[pb.LedgerRow]:
        """Yield the ledger as it travels."""
        self.bookkeeper.book()
        return row_messages(self.bookkeeper.ledger, self.bookkeeper.peer_names, period)


def largest_cost(settings: Settings, layouts: Layouts) -> int:
    """Return what one round's masks to one neighbour cost at most on the wire, one way, in bytes.

    No coded mask is larger than its raw bits and a few bytes; a step adds scales and counts for each layer. HTTP/2,
    TLS, TCP and IP add less than a tenth to a large mask, and less than 1,000 bytes to a small one.
    """
    kinds = settings.exchange.kinds
    return 1_000 + sum(11 * (layouts[kind].byte_size + 16 * len(layouts[kind].layers)) // 10 for kind in kinds)


def _usage_frame(usage: Usage) -> pb.Usage:
    return pb.Usage(
        hour_bytes=usage.hour_bytes,
        day_bytes=usage.day_bytes,
        cap_bytes=None if usage.cap is None else usage.cap.max_bytes,
        cap_period=usage.period,
        used_bytes=usage.used_bytes,
        forecast_bytes=usage.forecast_bytes,
        exchanges_skipped=usage.exchanges_skipped,
        interval_seconds=usage.interval_seconds,
    )
