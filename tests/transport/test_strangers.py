"""Nodes with and without valid tickets over TLS on loopback: which get in, and what both sides report."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import grpc.aio
import pytest

from dslnode.errors import UnreachableError
from dslnode.protocol.mask import MaskLayout
from dslnode.security import handshake_limiter
from dslnode.security import tls_listener as tls_listener_module
from dslnode.security.credentials import Credentials
from dslnode.security.handshake_limiter import FAILURES, OPEN_HANDSHAKES_OF_A_HOST
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.transport import connection_manager as connection_manager_module
from dslnode.transport.client import ask_status
from dslnode.transport.link_events import DialFailed, LinkDown, MaskArrived, PeerRefused
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc
from tests.networks import DAY, NOW, Operator
from tests.transport.nodes import LARGE, SMALL, Loopback, Node, message, node_info, soon


def member(net: Loopback, ticket: Path, number: int, revoked: Path | None = None, layout: MaskLayout = SMALL) -> Node:
    """Return a node that holds this ticket, not yet listening."""
    credentials = Credentials(ticket, revoked)
    who = credentials.identity
    me = replace(node_info(number, layout), node_id=who.node_id, name=who.name)
    return Node(net.news, me, layout, TlsTunnels(credentials))


async def host(net: Loopback, operator: Operator) -> Node:
    """Return a listening node that looks at the operator's revocation list."""
    return await net.start(member(net, operator.ticket("host"), 1, operator.revoked))


async def fails(net: Loopback, stranger: Node, address: str) -> str:
    """Dial without success; return why, as the dialling node sees it."""
    task = stranger.dial(address)
    await net.news.until(lambda: stranger.all(DialFailed) or stranger.all(PeerRefused))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not stranger.network.links
    failed, refused = stranger.all(DialFailed), stranger.all(PeerRefused)
    return failed[0].explanation if failed else refused[0].explanation


@pytest.mark.parametrize("layout", [SMALL, LARGE], ids=["small", "large"])
async def test_holders_of_tickets_exchange_masks(net: Loopback, operator: Operator, layout: MaskLayout) -> None:
    first = await net.start(member(net, operator.ticket("one"), 1, layout=layout))
    second = await net.start(member(net, operator.ticket("other"), 2, layout=layout))
    first.dial(second.address)
    await net.connected(first, second)
    first.network.send(second.me.key, message(layout, 1, 1))
    second.network.send(first.me.key, message(layout, 2, 2))
    await net.news.until(lambda: first.all(MaskArrived) and second.all(MaskArrived))
    assert first.all(MaskArrived) == [MaskArrived(second.me, message(layout, 2, 2))]
    assert second.all(MaskArrived) == [MaskArrived(first.me, message(layout, 1, 1))]
    assert not first.refusals() + second.refusals()
    first.network.measure_traffic()
    sent = first.network.traffic[second.me.key].sent
    assert sent.wire_bytes > sent.mask_bytes, "the kernel's count of the TLS connection is found"


async def test_a_refusal_crosses_the_tunnel(net: Loopback, operator: Operator) -> None:
    first = await net.start(member(net, operator.ticket("one"), 1))
    second = await net.start(member(net, operator.ticket("other"), 2))
    first.dial(second.address)
    await net.connected(first, second)
    second.network.leave("it is stopping")
    await net.news.until(lambda: first.all(LinkDown))
    assert "it is stopping" in first.all(LinkDown)[0].explanation


async def no_certificate(address: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    name, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port), ssl=context)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        await reader.read(1)
    writer.close()


async def test_a_peer_without_a_certificate_is_refused_and_counted(net: Loopback, operator: Operator) -> None:
    node = await host(net, operator)
    await no_certificate(node.address)
    await net.news.until(node.refusals)
    [report] = node.all(PeerRefused)
    assert (report.reason, report.explanation) == ("no_certificate", "connected without a certificate")
    assert report.address.startswith("127.0.0.1:")


async def test_a_ticket_of_another_authority_is_refused(net: Loopback, operator: Operator, tmp_path: Path) -> None:
    """Both sides refuse: the dialler, which checks first, says so, and the host gets its alert."""
    node = await host(net, operator)
    stranger = member(net, Operator(tmp_path / "other").ticket("host"), 2)
    assert await fails(net, stranger, node.address) == (
        "shows a certificate of another authority than this node's ticket"
    )
    await net.news.until(node.refusals)
    assert node.refusals()[0] == "tls"


def careless(ticket: Path) -> ssl.SSLContext:
    """Return the context of a client that accepts any server, as an attacker's would."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(ticket)
    context.set_alpn_protocols(["h2"])
    return context


async def test_a_certificate_of_another_authority_is_refused(net: Loopback, operator: Operator, tmp_path: Path) -> None:
    node = await host(net, operator)
    context = careless(Operator(tmp_path / "other").ticket("host"))
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port, ssl=context)
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        await reader.read(1)
    writer.close()
    await net.news.until(node.refusals)
    assert node.refusals() == ["unknown_authority"]


async def test_an_expired_ticket_is_refused(net: Loopback, operator: Operator) -> None:
    node = await host(net, operator)
    stranger = member(net, operator.ticket("late", NOW - 90 * DAY, days=89), 2)
    assert "this node's certificate has expired" in await fails(net, stranger, node.address)
    await net.news.until(node.refusals)
    assert set(node.refusals()) == {"expired"}


async def test_a_ticket_that_is_not_valid_yet_is_refused_with_a_hint_at_the_clock(
    net: Loopback, operator: Operator
) -> None:
    """As a board without a clock sees it that starts in 1970: here the other side is in the future."""
    node = await host(net, operator)
    early = member(net, operator.ticket("early", NOW + 90 * DAY), 2)
    assert "is the clock right there?" in await fails(net, early, node.address)
    await net.news.until(node.refusals)
    assert node.all(PeerRefused)[0].reason == "not_yet_valid"
    assert "is this board's clock right?" in node.all(PeerRefused)[0].explanation


async def test_a_dialler_refuses_an_expired_host(net: Loopback, operator: Operator) -> None:
    node = await net.start(member(net, operator.ticket("late", NOW - 90 * DAY, days=89), 1))
    dialler = member(net, operator.ticket("dialler"), 2)
    assert "has expired by this board's clock" in await fails(net, dialler, node.address)


async def test_a_revoked_ticket_is_refused(net: Loopback, operator: Operator) -> None:
    node = await host(net, operator)
    stranger = member(net, operator.ticket("stolen"), 2)
    operator.authority.revoke("stolen", NOW)
    assert node.tunnels is not None
    assert node.tunnels.credentials.refresh()
    assert "has it revoked this node" in await fails(net, stranger, node.address)
    await net.news.until(node.refusals)
    assert set(node.refusals()) == {"revoked"}


async def test_a_dialler_refuses_a_revoked_host(net: Loopback, operator: Operator) -> None:
    node = await net.start(member(net, operator.ticket("stolen"), 1))
    operator.authority.revoke("stolen", NOW)
    dialler = member(net, operator.ticket("dialler"), 2, operator.revoked)
    assert "the authority has revoked" in await fails(net, dialler, node.address)
    assert set(dialler.refusals()) == {"revoked"}


@pytest.mark.parametrize("who_dials", ["the revoked", "the host"])
async def test_a_link_to_a_revoked_node_is_closed(net: Loopback, operator: Operator, who_dials: str) -> None:
    node = await host(net, operator)
    stolen = await net.start(member(net, operator.ticket("stolen"), 2))
    dialler, answerer = (stolen, node) if who_dials == "the revoked" else (node, stolen)
    dialler.dial(answerer.address)
    await net.connected(node, stolen)
    operator.authority.revoke("stolen", NOW)
    assert node.tunnels is not None
    assert node.tunnels.recheck() == [], "not before the new list is read"
    node.tunnels.credentials.refresh()
    assert [(identity.name, error.reason) for identity, error in node.tunnels.recheck()] == [("stolen", "revoked")]
    await net.news.until(lambda: node.all(LinkDown) and stolen.all(LinkDown))


@pytest.mark.parametrize("field", ["node_id", "name"])
@pytest.mark.parametrize("who_lies", ["dialler", "answerer"])
async def test_a_node_cannot_claim_the_identity_of_another(
    net: Loopback, operator: Operator, who_lies: str, field: str
) -> None:
    """A valid certificate, and a hello with another identity."""
    honest = await net.start(member(net, operator.ticket("honest"), 1))
    liar = member(net, operator.ticket("liar"), 2)
    claim = replace(liar.me, name="victim") if field == "name" else replace(liar.me, node_id=b"v" * 16)
    liar = Node(net.news, claim, SMALL, liar.tunnels)
    await net.start(liar)
    if who_lies == "dialler":
        liar.dial(honest.address)
    else:
        honest.dial(liar.address)
    await net.news.until(honest.refusals)
    assert set(honest.refusals()) == {"identity"}
    assert "its certificate is that of" in honest.all(PeerRefused)[0].explanation
    assert not honest.network.links


async def test_plaintext_to_a_node_with_a_ticket_is_refused_and_explained(net: Loopback, operator: Operator) -> None:
    node = await host(net, operator)
    stranger = Node(net.news, node_info(2))
    assert await fails(net, stranger, node.address) == (
        "answers with TLS and wants a certificate; give this node a ticket (--ticket)"
    )
    await net.news.until(lambda: "plaintext" in node.refusals())


async def test_a_node_with_a_ticket_never_talks_plaintext(net: Loopback, operator: Operator) -> None:
    plain = await net.node(1)
    dialler = member(net, operator.ticket("dialler"), 2)
    assert await fails(net, dialler, plain.address) == (
        "answers without TLS: it was started without a ticket, and this node talks with nobody unencrypted"
    )
    assert not plain.events


async def test_a_host_that_keeps_failing_is_refused_before_the_handshake(net: Loopback, operator: Operator) -> None:
    node = await host(net, operator)
    for _ in range(3 * FAILURES):
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            writer.write(b"PRI * HTTP/2.0\r\n\r\n")
            await reader.read()
            writer.close()
    await net.news.until(lambda: len(node.refusals()) == 3 * FAILURES)
    assert node.refusals()[:FAILURES] == ["plaintext"] * FAILURES
    assert node.refusals().count("rate_limited") >= FAILURES


async def test_a_connection_without_a_handshake_is_closed_in_time(
    net: Loopback, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_listener_module, "HANDSHAKE_SECONDS", 0.1)
    node = await host(net, operator)
    with contextlib.ExitStack() as held:
        for _ in range(OPEN_HANDSHAKES_OF_A_HOST + 3):
            held.enter_context(socket.create_connection(("127.0.0.1", node.port)))
        await net.news.until(lambda: len(node.refusals()) == OPEN_HANDSHAKES_OF_A_HOST + 3)
    assert sorted(node.refusals()) == ["slow_handshake"] * OPEN_HANDSHAKES_OF_A_HOST + ["too_many"] * 3


async def test_refused_connections_leave_nothing_behind_and_an_honest_node_gets_in(
    net: Loopback, operator: Operator
) -> None:
    node = await host(net, operator)
    for _ in range(FAILURES - 1):
        await no_certificate(node.address)
    honest = await net.start(member(net, operator.ticket("honest"), 2))
    honest.dial(node.address)
    await net.connected(node, honest)
    assert node.tunnels is not None
    assert len(node.tunnels) == 1
    await honest.stop()
    await soon(lambda: node.tunnels is not None and len(node.tunnels) == 0)


async def test_a_holder_of_a_ticket_cannot_take_all_connections(
    net: Loopback, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_listener_module, "MAX_CONNECTIONS_OF_A_NODE", 2)
    node = await host(net, operator)
    context = careless(operator.ticket("greedy"))
    ends = [await asyncio.open_connection("127.0.0.1", node.port, ssl=context) for _ in range(3)]
    first = [await reader.read(1) for reader, _ in ends]
    assert sorted(first) == [b"", b"\0", b"\0"], "two get HTTP/2's settings, one the end"
    assert node.refusals() == ["too_many"]
    for _, writer in ends:
        writer.close()


async def greet(channel: grpc.aio.Channel) -> None:
    """Send a hello and read; whichever of the two comes after a refusal raises it."""
    call = node_pb2_grpc.NeighbourStub(channel).Converse()
    await call.write(pb.Frame(hello=node_info(2).to_proto(0)))
    await call.read()


async def test_a_process_of_the_same_user_cannot_bypass_tls(
    net: Loopback, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_manager_module, "HELLO_SECONDS", 0.1)
    node = await host(net, operator)
    assert node.tunnels is not None
    inner = node.tunnels.path().with_name("1")
    async with grpc.aio.insecure_channel(f"unix:{inner}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await greet(channel)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not node.events


async def test_sockets_are_in_a_directory_for_their_user_only(net: Loopback, operator: Operator) -> None:
    node = await host(net, operator)
    assert node.tunnels is not None
    directory = node.tunnels.path().parent
    assert directory.stat().st_mode & 0o077 == 0
    await node.stop()
    assert not directory.exists()


async def test_status_is_answered_to_holders_of_a_ticket_only(
    net: Loopback, operator: Operator, tmp_path: Path
) -> None:
    node = await host(net, operator)
    mine, foreign = operator.ticket("operator"), Operator(tmp_path / "other").ticket("operator")

    async def ask(ticket: Path | None) -> pb.StatusReply:
        return await asyncio.to_thread(ask_status, node.address, 5.0, ticket)

    assert (await ask(mine)).name == node.me.name
    with pytest.raises(UnreachableError, match="answers only holders of a ticket"):
        await ask(None)
    with pytest.raises(UnreachableError, match="another authority"):
        await ask(foreign)


async def test_a_renewed_ticket_is_used_for_the_next_connections(net: Loopback, operator: Operator) -> None:
    """The host's first ticket has ended before anyone connects; the diallers would refuse it."""
    node = member(net, operator.ticket("host", NOW - 90 * DAY, days=89), 1)
    await net.start(node)
    dialler = member(net, operator.ticket("dialler"), 2)
    assert "has expired" in await fails(net, dialler, node.address)
    operator.renew("host")
    assert node.tunnels is not None
    node.tunnels.credentials.refresh()
    dialler.dial(node.address)
    await net.news.until(lambda: dialler.network.links)


def handshakes_of(node: Node) -> int:
    listener = node.server._tls_listener
    return 0 if listener is None else len(listener._limiter._open)


async def test_a_newcomer_gets_in_while_silent_handshakes_hold_all_places(
    net: Loopback, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake_limiter, "OPEN_HANDSHAKES", 16)
    monkeypatch.setattr(handshake_limiter, "PATIENCE_SECONDS", 0.0)
    node = await host(net, operator)
    newcomer = await net.start(member(net, operator.ticket("newcomer"), 2))
    with contextlib.ExitStack() as held:
        for number in range(16):
            source = (f"127.0.0.{2 + number // OPEN_HANDSHAKES_OF_A_HOST}", 0)
            held.enter_context(socket.create_connection(("127.0.0.1", node.port), source_address=source))
        await soon(lambda: handshakes_of(node) == 16)
        newcomer.dial(node.address)
        await net.connected(node, newcomer)
    assert node.refusals() == ["slow_handshake"], "one silent handshake made room"
