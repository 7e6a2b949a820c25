"""TLS over plain streams: whole data both ways, ends that are heard of, and refusals that say why."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from dslnode.security.credentials import Credentials
from dslnode.security.tls_errors import problem_of_dialer, problem_of_listener, reason_of
from dslnode.security.tls_stream import TlsStream
from tests.networks import Operator
from tests.transport.nodes import PATIENCE


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(Operator(tmp_path / "authority").ticket("one"), None)


@contextlib.asynccontextmanager
async def serving(
    credentials: Credentials, talk: Callable[[TlsStream], Awaitable[None]]
) -> AsyncIterator[tuple[int, asyncio.Queue[str]]]:
    """Serve TLS on loopback; how each connection ended is put into the queue."""
    ends: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = TlsStream(reader, writer, credentials.server)
        try:
            await stream.handshake()
            await talk(stream)
            ends.put_nowait("done")
        except OSError as error:
            ends.put_nowait(reason_of(error))
        stream.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(PATIENCE):
        yield server.sockets[0].getsockname()[1], ends


async def dialled(port: int, context: ssl.SSLContext) -> TlsStream:
    stream = TlsStream(*await asyncio.open_connection("127.0.0.1", port), context)
    await stream.handshake()
    return stream


async def echo(stream: TlsStream) -> None:
    while data := await stream.read():
        await stream.write(data)


async def test_what_is_sent_arrives_whole_both_ways_at_once(credentials: Credentials) -> None:
    draw = random.Random(7)
    parts = [draw.randbytes(draw.choice((1, 100, 16_384, 16_385, 300_000))) for _ in range(30)]
    received = bytearray()
    async with serving(credentials, echo) as (port, ends):
        stream = await dialled(port, credentials.client)

        async def send() -> None:
            for part in parts:
                await stream.write(part)

        sending = asyncio.ensure_future(send())
        while len(received) < sum(map(len, parts)):
            received += await stream.read()
        await sending
        stream.close()
        assert await ends.get() == "done"
    assert received == b"".join(parts)


async def test_what_was_sent_last_arrives_before_the_end(credentials: Credentials) -> None:
    async def farewell(stream: TlsStream) -> None:
        await stream.write(b"x" * 200_000)

    async with serving(credentials, farewell) as (port, _):
        stream = await dialled(port, credentials.client)
        received = bytearray()
        while data := await stream.read():
            received += data
        stream.close()
    assert received == b"x" * 200_000


async def test_a_connection_that_breaks_off_is_an_end_or_an_error_and_no_hang(credentials: Credentials) -> None:
    async with serving(credentials, echo) as (port, ends):
        stream = await dialled(port, credentials.client)
        await stream.write(b"hello")
        assert await stream.read() == b"hello"
        stream.abort()
        assert await ends.get() in {"done", "tls"}


async def test_garbage_after_the_handshake_is_an_error(credentials: Credentials) -> None:
    async with serving(credentials, echo) as (port, ends):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await TlsStream(reader, writer, credentials.client).handshake()
        writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert await ends.get() == "tls"
        writer.close()


@pytest.mark.parametrize("seed", range(40))
async def test_no_bytes_get_past_the_handshake_or_break_it_in_another_way(credentials: Credentials, seed: int) -> None:
    draw = random.Random(seed)
    record = b"\x16\x03\x01" + draw.randrange(1 << 15).to_bytes(2, "big") if seed % 2 else b""
    async with serving(credentials, echo) as (port, ends):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(record + draw.randbytes(draw.randrange(1, 2_000)))
        writer.write_eof()
        assert await ends.get() in {"plaintext", "tls"}
        writer.close()


@pytest.mark.parametrize(
    ("error", "reason"), [(TimeoutError(), "slow_handshake"), (ConnectionResetError(), "tls"), (ssl.SSLError(), "tls")]
)
def test_every_failure_has_a_reason_and_a_sentence_on_both_sides(error: OSError, reason: str) -> None:
    assert reason_of(error) == reason
    assert problem_of_dialer(reason)
    assert problem_of_listener(error)
