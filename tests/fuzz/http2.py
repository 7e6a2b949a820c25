"""What a raw client may send in place of HTTP/2: the preface and garbage, right frames with mutated payloads. Pure.

A frame is its length (3 bytes), type, flags, stream (4 bytes) and payload (RFC 9113, section 4.1). Headers are coded
as literals without indexing and without Huffman code (RFC 7541, section 6.2.2).
"""

from __future__ import annotations

import random

from tests.fuzz.decoders import hello, sign_frames
from tests.fuzz.mutation import mutate

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
METHODS = (
    "/dslnode.v1.Neighbour/Converse",
    "/dslnode.v1.Status/Get",
    "/dslnode.v1.Status/Ledger",
    "/grpc.health.v1.Health/Check",
    "/nobody/knows",
)


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """Return a frame with a right length."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name: str, value: str) -> bytes:
    """Return one header field."""
    return b"\0" + b"".join(bytes([len(part)]) + part.encode() for part in (name, value))


def call(method: str, *messages: bytes, stream: int = 1) -> list[bytes]:
    """Return the frames of a call with these messages."""
    fields = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "x", "te": "trailers"}
    fields["content-type"] = "application/grpc"
    block = b"".join(literal(name, value) for name, value in fields.items())
    parts = [b"\0" + len(message).to_bytes(4, "big") + message for message in messages]
    return [
        frame(HEADERS, block, END_HEADERS, stream),
        *(frame(DATA, part, END_STREAM * (number == len(parts)), stream) for number, part in enumerate(parts, 1)),
    ]


def messages() -> list[bytes]:
    """Return what a neighbour may say, a message each."""
    return [hello(), sign_frames()[2:], b"", hello() + hello()]


def session(chance: random.Random) -> list[bytes]:
    """Return what one client sends, in pieces."""
    kind = chance.randrange(4)
    if kind == 0:
        return [chance.randbytes(chance.randrange(400))]
    if kind == 1:
        return [PREFACE, *(_garbage_frame(chance) for _ in range(chance.randrange(1, 8)))]
    whole = [PREFACE, frame(SETTINGS), *call(chance.choice(METHODS), *chance.choices(messages(), k=3))]
    whole += [frame(PING, bytes(8)), frame(WINDOW, (1000).to_bytes(4, "big"))]
    if kind == 2:
        return [part if number == 0 else _mutated_payload(part, chance) for number, part in enumerate(whole)]
    return [mutate(part, whole, chance) if chance.random() < 0.3 else part for part in whole]


def _garbage_frame(chance: random.Random) -> bytes:
    payload = chance.randbytes(chance.choice((0, 4, 8, 40, 300)))
    return frame(chance.randrange(12), payload, chance.randrange(256), chance.choice((0, 1, 2, 3, 2**31 - 1)))


def _mutated_payload(part: bytes, chance: random.Random) -> bytes:
    """Return a frame whose header is right for its mutated payload."""
    payload = mutate(part[9:], [part, hello()], chance) if chance.random() < 0.5 else part[9:]
    return len(payload).to_bytes(3, "big") + part[3:9] + payload
