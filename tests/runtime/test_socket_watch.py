"""A node whose Unix sockets were deleted: it says so, is not ready, and accepts connections again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import cast

import pytest

from dslnode.runtime import socket_watch
from dslnode.runtime.socket_watch import SocketWatcher, watch_socket
from dslnode.telemetry.logs import Logger
from dslnode.transport.link_events import LinkDown
from tests.networks import Operator
from tests.runtime.test_credential_watch import Log
from tests.transport.nodes import Loopback, Node, loopback, soon
from tests.transport.test_strangers import member


async def three(net: Loopback, tmp_path: Path) -> list[Node]:
    operator = Operator(tmp_path / "authority")
    return [await net.start(member(net, operator.ticket(name), n)) for n, name in enumerate("abc", 1)]


def directory_of(node: Node) -> Path:
    assert node.tunnels is not None
    return node.tunnels.path().parent


async def test_a_loss_is_logged_once_and_the_node_accepts_again(tmp_path: Path) -> None:
    async with loopback() as net:
        host, board, late = await three(net, tmp_path)
        board.dial(host.address)
        await net.connected(host, board)
        log = Log()
        watcher = SocketWatcher(host.server, cast(Logger, log))
        watcher.check()
        assert log.take() == []
        shutil.rmtree(directory_of(host))
        assert "has vanished" in host.server.unready()
        assert not host.server.is_open()
        watcher.check()
        watcher.check()
        [(level, event, fields)] = log.lines
        assert (level, event) == ("error", "no new connections")
        assert str(fields["problem"]) != ""
        await soon(host.server.is_open)
        watcher.check()
        assert log.take()[1:] == [("info", "connections accepted again")]
        late.dial(host.address)
        await net.connected(host, late)
        assert not board.all(LinkDown), "open links go on"


async def test_a_lone_socket_that_vanished_is_made_again_by_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with loopback() as net:
        host, board, _ = await three(net, tmp_path)
        monkeypatch.setattr(socket_watch, "CHECK_SECONDS", 0.01)
        watching = asyncio.ensure_future(watch_socket(host.server, cast(Logger, Log())))
        try:
            for path in directory_of(host).iterdir():
                path.unlink()
            assert host.server.unready()
            await soon(host.server.is_open)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        board.dial(host.address)
        await net.connected(host, board)
