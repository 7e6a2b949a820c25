"""Which engine a simulation runs on, as a user names it: this process, or a Ray cluster. Both find the same."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dslnode.errors import SettingsError

if TYPE_CHECKING:
    from dslnode.simulation.windows import Job, Shards

LOCAL_CLUSTER = "local"
"""In place of an address: a cluster that is started on this machine, and ends with the simulation."""


class EngineName(StrEnum):
    """What holds the nodes."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine. ``ray_address`` is HOST:PORT or ``local``; ``shards`` 0 for one per processor of the cluster.

    Raises ``SettingsError`` if an option is of another engine.
    """

    name: EngineName = EngineName.LOCAL
    ray_address: str = LOCAL_CLUSTER
    shards: int = 0

    def __post_init__(self) -> None:
        """Refuse options that would be without effect."""
        if self.name is EngineName.LOCAL and (self.shards or self.ray_address != LOCAL_CLUSTER):
            raise SettingsError("--ray-address and --shards: are of --engine ray; add that, or leave them out")

    def start(self, job: Job) -> Shards:
        """Return the shards of a simulation. Raises ``SettingsError`` without Ray, ``UnreachableError``."""
        from dslnode.simulation.local_shards import LocalShards

        if self.name is EngineName.LOCAL:
            return LocalShards(job)
        from dslnode.simulation.ray_shards import RayShards

        return RayShards(job, address=self.ray_address, shards=self.shards)
