"""Text as editors save it."""

from __future__ import annotations

import pytest

from dslnode.text_files import decode_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_is_read_with_and_without_a_mark(encoding: str) -> None:
    assert decode_text('name = "größe"'.encode(encoding)) == 'name = "größe"'


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-32"])
def test_other_encodings_are_named_with_the_remedy(encoding: str) -> None:
    with pytest.raises(ValueError, match=rf"is saved as {encoding}; save it as UTF-8"):
        decode_text("alpha = 1".encode(encoding.lower()))


def test_what_is_no_text_says_where() -> None:
    with pytest.raises(ValueError, match=r"is not UTF-8 text \(byte 3 cannot be read\)"):
        decode_text(b"abc\xff")
