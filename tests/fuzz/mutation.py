"""Mutations of bytes, as by a broken disk, a faulty neighbour or an attacker. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\xff" * 9 + b"\1", b"\x08\0" * 8)
NUMBERS = (b"0", b"-1", b"1e999", b"NaN", b"4294967296", b"9" * 30, b"null", b"[]", b"{}", b'""')
MAX_BYTES = 4_096


def mutate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Return the content after one to four mutations, cut at ``MAX_BYTES``; ``others`` may lend parts of themselves."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        content = chance.choice(MUTATIONS)(content, others, chance)[:MAX_BYTES]
    return content


def flip_bit(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Flip one bit."""
    if not content:
        return b"\1"
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def overwrite(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Put bytes that are often at a bound in place of others."""
    piece, at = chance.choice(INTERESTING), chance.randint(0, len(content))
    return content[:at] + piece + content[at + len(piece) :]


def insert(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Insert random bytes."""
    at = chance.randint(0, len(content))
    return content[:at] + chance.randbytes(chance.randint(1, 8)) + content[at:]


def remove(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Leave some bytes out."""
    start, stop = sorted((chance.randint(0, len(content)), chance.randint(0, len(content))))
    return content[:start] + content[stop:]


def repeat(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Write a part twice."""
    start, stop = sorted((chance.randint(0, len(content)), chance.randint(0, len(content))))
    return content[:stop] + content[start:]


def splice(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Go on with the end of something else."""
    other = chance.choice(others)
    return content[: chance.randint(0, len(content))] + other[chance.randint(0, len(other)) :]


def renumber(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """Replace a number or a quoted word of a text."""
    found = list(re.finditer(rb'-?\d+(\.\d+)?|"[^"]*"', content))
    if not found:
        return content + b"\0"
    start, stop = chance.choice(found).span()
    return content[:start] + chance.choice(NUMBERS) + content[stop:]


MUTATIONS = (flip_bit, overwrite, insert, remove, repeat, splice, renumber)
