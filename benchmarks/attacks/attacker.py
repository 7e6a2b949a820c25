"""The process of an attacker: runs one attack until it is killed, so that its load is not the measurement's."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.attacks.hostile_peer import HostilePeer
from benchmarks.attacks.scenarios import ATTACKS, Attackers, Targets
from dslnode.config.settings import Settings
from dslnode.runtime.build import build_learner
from dslnode.runtime.prepare import node_info
from dslnode.security.credentials import Credentials


@contextmanager
def attacking(name: str, targets: Targets, tickets: tuple[Path, Path], settings: Settings) -> Iterator[None]:
    """Run an attack in a process of its own while the context lasts, from when it has begun."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=_attack, args=(name, targets, tickets, settings, begun), daemon=True)
    process.start()
    try:
        if not begun.wait(60):
            raise RuntimeError(f"the attacker of {name} did not begin")
        yield
        if not process.is_alive():
            raise RuntimeError(f"the attacker of {name} ended by itself (exit code {process.exitcode})")
    finally:
        process.kill()
        process.join()


def _attack(name: str, targets: Targets, tickets: tuple[Path, Path], settings: Settings, begun: Event) -> None:
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    learner = build_learner(settings)
    peers = []
    for ticket in tickets:
        who = Credentials(ticket, None).identity
        me = node_info(settings, learner, who.node_id)
        peers.append(HostilePeer(ticket, replace(me, name=who.name, advertise=""), settings.run_id))

    async def run() -> None:
        await ATTACKS[name](targets, Attackers(*peers), begun.set)

    asyncio.run(run())
