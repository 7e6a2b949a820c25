"""Tells people of a split network: gauges of its nodes and parts, and log lines when nodes are missed or back."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from dslnode.protocol.membership import MemberRecord, ReachabilityView
from dslnode.telemetry.logs import Logger

SPLIT_GRACE_SECONDS = 10.0
"""How long nodes may be out of reach before the log warns of a split network."""
MAX_NAMES_LOGGED = 5


class SplitAlert:
    """Warns once of each node that stays out of reach, and says when all are in reach again."""

    def __init__(self, log: Logger, registry: CollectorRegistry) -> None:
        self._log = log
        self._split_began: float | None = None
        self._reported_missing: frozenset[str] = frozenset()
        self._components_metric = Gauge(
            "dslnode_components", "Connected components of the known network; 1: all can be reached.", registry=registry
        )
        self._members_metric = Gauge(
            "dslnode_members", "Nodes of the network, this one included, by state.", ["state"], registry=registry
        )

    def update(self, view: ReachabilityView, members: Mapping[str, MemberRecord], now: float) -> None:
        """Take in what is in reach at ``now``, in seconds; ``members`` are the other nodes by key."""
        reachable, missing = len(view.reachable), view.missing
        self._components_metric.set(view.components)
        self._members_metric.labels("reachable").set(reachable)
        self._members_metric.labels("known").set(reachable + len(missing))
        if not missing:
            if self._reported_missing:
                self._log.info("network whole again", reachable=reachable)
            self._split_began, self._reported_missing = None, frozenset()
            return
        self._split_began = now if self._split_began is None else self._split_began
        if now - self._split_began >= SPLIT_GRACE_SECONDS and missing - self._reported_missing:
            self._reported_missing |= missing
            names = sorted(members[key].name for key in missing)
            self._log.warning(
                "network split",
                reachable=reachable,
                known=reachable + len(missing),
                components=view.components,
                missing=",".join(names[:MAX_NAMES_LOGGED]),
            )
