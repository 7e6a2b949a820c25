"""Members on loopback: nodes with a peer manager, with tickets or without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry

from dslnode.overlay.peer_manager import PeerManager
from dslnode.protocol.messages import MaskKind
from dslnode.security.channels import PlainChannels, TlsChannels
from dslnode.security.credentials import Credentials
from dslnode.security.member_signature import MemberSignatures
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.telemetry.logs import Logger
from dslnode.transport.link_events import LinkEvent
from dslnode.transport.link_factory import LinkFactory
from tests.cluster.processes import free_port
from tests.runtime.test_credential_watch import Log
from tests.transport.nodes import SMALL, Loopback, Node, message, node_info


@dataclass
class Member(Node):
    """A node with a peer manager."""

    peers: tuple[str, ...] = ()
    limit: int = 16
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        self.signatures = None if self.tunnels is None else MemberSignatures(self.tunnels.credentials, self.me.run_id)
        super().__post_init__()
        self.registry = CollectorRegistry()
        self.peer_manager = PeerManager(
            self.network,
            self.peers,
            self.limit,
            channels=PlainChannels() if self.tunnels is None else TlsChannels(self.tunnels),
            log=cast(Logger, self.log),
            registry=self.registry,
            sign=(lambda record: record) if self.signatures is None else self.signatures.sign,
        )

    def link_factory(self) -> LinkFactory:
        """Return the factory of its links, which checks signatures if it has a ticket."""
        start, check = message(self.layout, 99).mask, None if self.signatures is None else self.signatures.check
        return LinkFactory(self.me, dict.fromkeys(MaskKind, self.layout), start, check_record=check)

    def components(self) -> float | None:
        """Return the value of the metric."""
        return self.registry.get_sample_value("dslnode_components")

    def _record(self, event: LinkEvent) -> None:
        self.peer_manager.on_link_event(event)
        super()._record(event)


class Network:
    """Starts members on loopback."""

    def __init__(self, net: Loopback) -> None:
        self.net = net

    async def member(self, number: int, *peers: str, dialable: bool = True, port: int = 0, **more: Any) -> Member:
        """Start a member that knows these addresses; others learn of its own if it is dialable."""
        port = port or free_port()
        me = replace(node_info(number), advertise=f"127.0.0.1:{port}" if dialable else "", members=True)
        member = Member(self.net.news, me, SMALL, port=port, peers=peers, **more)
        await self.net.start(member)
        member.tasks += [member.spawn(job) for job in member.peer_manager.jobs()]
        return member

    async def holder(self, ticket: Path, *peers: str, managed: bool = True, **more: Any) -> Member:
        """Start a member with a ticket. One that is not ``managed`` sends no records of its own."""
        credentials, port = Credentials(ticket, None), free_port()
        who = credentials.identity
        me = replace(node_info(1), node_id=who.node_id, name=who.name, advertise=f"127.0.0.1:{port}", members=True)
        member = Member(self.net.news, me, SMALL, TlsTunnels(credentials), port=port, peers=peers, **more)
        await self.net.start(member)
        jobs = member.peer_manager.jobs()
        for job in jobs if managed else jobs[1:]:
            member.tasks.append(member.spawn(job))
        if not managed:
            jobs[0].close()
        return member


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for an effect of ticks, which no event reports."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
