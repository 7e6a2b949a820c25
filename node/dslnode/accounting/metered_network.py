"""What the accounts need of a node's links: which are open, what they carried, and a way to ask for an interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dslnode.protocol.messages import IntervalRequest
from dslnode.transport.traffic import Traffic


class NamedNeighbour(Protocol):
    """The node at the other end of a link."""

    @property
    def name(self) -> str:
        """Its name in the ledger."""


class MeteredLink(Protocol):
    """An open link."""

    @property
    def neighbour(self) -> NamedNeighbour:
        """The node at its other end."""


class MeteredNetwork(Protocol):
    """The links of one node, by neighbour key, and the traffic of all that were ever open."""

    @property
    def links(self) -> Mapping[str, MeteredLink]:
        """The open links."""

    @property
    def traffic(self) -> Mapping[str, Traffic]:
        """What was sent and received."""

    def send(self, neighbour: str, message: IntervalRequest, /) -> None:
        """Queue a request on a neighbour's link; without a link it is dropped."""

    def measure_traffic(self) -> None:
        """Bring ``traffic`` up to date."""
