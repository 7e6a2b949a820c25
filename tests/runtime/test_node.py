"""A node that a program embeds: it runs, links, ends in order, and leaves its process as it was."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import torch

import dslnode
from dslnode import name_lookup
from dslnode.cli.daemon_process import free_ports
from dslnode.errors import ExitCode, ListenError, ModelError, StateError
from dslnode.inference.model_file import pack, read_model
from dslnode.name_lookup import Lookups
from dslnode.runtime import node as module
from dslnode.runtime.node import Node
from dslnode.runtime.node_events import PeerDown, PeerUp, RoundFinished
from dslnode.runtime.saved_models import saved_model
from dslnode.security import tls_tunnels
from tests.networks import Operator

SECONDS = 60.0


def settings(**values: Any) -> dslnode.Settings:
    defaults = {"listen": "127.0.0.1:0", "metrics": "off", "samples_per_class": 3, "local_steps": 2}
    return dslnode.Settings(**{**defaults, **values})


def host() -> dict[str, Any]:
    """Return what a program that embeds a node may not find changed."""
    loggers = {name: logging.getLogger(name) for name in ("", "grpc", "grpc._cython.cygrpc", "asyncio")}
    return {
        "handlers": {name: (list(log.handlers), log.level, log.propagate) for name, log in loggers.items()},
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals() if number not in {9, 19}},
        "path": list(sys.path),
        "torch": (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()),
        "random": torch.random.get_rng_state().tolist(),
        "functions": (traceback.print_exc, sys.excepthook, threading.excepthook, os._exit),
        "structlog": structlog.get_config(),
        "environment": dict(os.environ),
        "directory": Path.cwd(),
        "warnings": list(warnings.filters),
    }


async def test_two_nodes_in_one_process_learn_together_and_leave_it_as_it_was() -> None:
    import grpc  # noqa: F401 (the host may have it, too; what gRPC itself does is not ours)

    torch.manual_seed(7)
    before = host()
    first, second = (f"127.0.0.1:{port}" for port in free_ports(2))
    common = {"rounds": 3, "wait_for_peers": 30.0}
    seen: dict[str, list[object]] = {"a": [], "b": []}

    async def live(name: str, listen: str, peer: str, share: str) -> ExitCode:
        own = settings(name=name, listen=listen, peers=(peer,), share=share, **common)
        async with Node(own) as node:
            now = host()
            assert {**now, "random": None} == {**before, "random": None}, "torch's is borrowed while it trains"
            async for event in node.events():
                seen[name].append(event)
            return await node.wait()

    async with asyncio.timeout(SECONDS):
        codes = await asyncio.gather(live("a", first, second, "1/2"), live("b", second, first, "2/2"))
    assert host() == before
    assert list(codes) == [ExitCode.DONE, ExitCode.DONE]
    for events in seen.values():
        assert [event.round for event in events if isinstance(event, RoundFinished)] == [1, 2, 3]
        assert any(isinstance(event, PeerUp) for event in events)
    ended = [event for events in seen.values() for event in events if isinstance(event, PeerDown)]
    assert all(event.reason for event in ended)


async def test_the_end_of_the_context_stops_a_node_that_has_no_end() -> None:
    async with asyncio.timeout(SECONDS):
        async with Node(settings()) as node:
            async for event in node.events():
                if isinstance(event, RoundFinished) and event.round == 2:
                    break
            assert node.status()["round"] >= 2
        assert await node.wait() is ExitCode.INTERRUPTED
        assert [event async for event in node.events()] == []


async def test_a_node_that_is_stopped_while_it_loads_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    loading, go_on = threading.Event(), threading.Event()

    def slow(*_arguments: object, **_options: object) -> None:
        loading.set()
        go_on.wait(SECONDS)

    monkeypatch.setattr(module, "prepare", slow)
    node = Node(settings())
    entering = asyncio.create_task(node.__aenter__())
    await asyncio.to_thread(loading.wait, SECONDS)
    node.stop(ExitCode.TERMINATED)
    async with asyncio.timeout(SECONDS):
        await entering
        assert await node.wait() is ExitCode.TERMINATED
    assert node.busy
    go_on.set()


async def test_sockets_may_be_in_a_state_directory_that_is_made_at_the_start(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path_factory.mktemp("p")
    state, ticket = parent / "state", Operator(parent / "authority").ticket("one")
    monkeypatch.setattr(tls_tunnels, "parent_directories", lambda _: [parent / "missing", state])
    own = settings(name="one", ticket=ticket, run_id="run", state_dir=state)
    async with asyncio.timeout(SECONDS), Node(own):
        assert [path.name[:8] for path in state.iterdir() if path.is_dir()] == ["dslnode-"]
    assert not any(path.is_dir() for path in state.iterdir())


@pytest.mark.parametrize("setting", ["listen", "metrics"])
async def test_a_node_that_is_stopped_while_it_looks_its_own_address_up_ends_at_once(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = threading.Event(), threading.Event()

    def look_up(_name: str) -> list[str]:
        asked.set()
        released.wait(SECONDS)
        return ["127.0.0.1"]

    monkeypatch.setattr(name_lookup, "_lookups", Lookups(look_up))
    node = Node(settings(insecure=True, **{setting: "board.lan:0"}))
    entering = asyncio.create_task(node.__aenter__())
    try:
        await asyncio.to_thread(asked.wait, SECONDS)
        node.stop(ExitCode.TERMINATED)
        async with asyncio.timeout(name_lookup.LOOKUP_SECONDS / 2):
            await entering
            assert await node.wait() is ExitCode.TERMINATED
    finally:
        released.set()


async def test_what_is_wrong_is_raised_where_the_context_begins_and_nothing_stays_locked(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown model"):
        async with Node(settings(model="nothing", state_dir=tmp_path)):
            pass
    async with asyncio.timeout(SECONDS), Node(settings(state_dir=tmp_path)) as node:
        with pytest.raises(StateError, match="another dslnode is using this state directory"):
            async with Node(settings(state_dir=tmp_path)):
                pass
        port = node.status()["name"] and node.parts.server._endpoint.port
        with pytest.raises(ListenError):
            async with Node(settings(listen=f"127.0.0.1:{port}")):
                pass


async def test_a_background_job_that_fails_ends_the_node_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_connections: object) -> None:
        raise ZeroDivisionError("of a job")

    monkeypatch.setattr(module, "keep_alive", broken)
    with caplog.at_level(logging.INFO, logger="dslnode"):
        async with asyncio.timeout(SECONDS), Node(settings()) as node:
            assert await node.wait() is ExitCode.INTERNAL
    assert any("internal error" in message and "of a job" in message for message in caplog.messages)
    assert "event='stopped'" in caplog.messages[-1]


async def test_a_reader_that_does_not_keep_up_loses_the_oldest_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_EVENTS", 2)
    async with asyncio.timeout(SECONDS), Node(settings(rounds=5)) as node:
        events = node.events()
        first = await anext(events)
        await node.wait()
        rest = [event async for event in events]
    assert isinstance(first, RoundFinished)
    assert first.round == 1
    assert len(rest) <= 1
    with pytest.raises(RuntimeError, match="async with"):
        _ = Node(settings()).parts


async def test_a_new_node_begins_with_the_model_in_a_file_and_a_saved_state_comes_first(tmp_path: Path) -> None:
    veteran = settings(rounds=2, state_dir=tmp_path / "veteran", local_steps=30)
    async with Node(veteran) as node:
        await node.wait()
    file = tmp_path / "model.dslm"
    file.write_bytes(pack(saved_model(tmp_path / "veteran")))
    new = settings(rounds=1, state_dir=tmp_path / "new", local_steps=30)
    async with Node(new, begin_from=file) as node:
        learner = node.parts.core.prepared.learner
        assert learner.best is not None
        assert learner.best.round == 0
        assert np.packbits(read_model(file).mask, bitorder="little").tobytes() == learner.best.form.mask.to_bytes()
        await node.wait()
    async with Node(settings(rounds=2, state_dir=tmp_path / "new", local_steps=30), begin_from=file) as node:
        assert node.status()["round"] >= 1
    with pytest.raises(ModelError, match="another network: the seed differ"):
        async with Node(settings(seed=9), begin_from=file):
            pass


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


async def test_a_refused_start_leaves_the_state_directory_as_it_was(tmp_path: Path) -> None:
    async with Node(settings(rounds=2, state_dir=tmp_path)) as node:
        await node.wait()
    damaged = bytearray((tmp_path / "state").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "state").write_bytes(damaged)
    before = contents(tmp_path)
    for other in ({"seed": 2}, {"run_id": "other"}):
        with pytest.raises(StateError, match="holds the state of"):
            async with Node(settings(**{"rounds": 3, "state_dir": tmp_path, **other})):
                pass
        assert contents(tmp_path) == before, other


async def test_a_start_that_trains_nothing_leaves_the_saved_model_as_it_was(tmp_path: Path) -> None:
    async with Node(settings(rounds=2, state_dir=tmp_path)) as node:
        await node.wait()
    before = pack(saved_model(tmp_path))
    async with Node(settings(rounds=2, state_dir=tmp_path, classes=(0, 1, 2), name="renamed")) as node:
        await node.wait()
    assert pack(saved_model(tmp_path)) == before
