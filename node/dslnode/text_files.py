"""Text as editors save it: UTF-8 with or without a byte-order mark; other encodings are named and refused."""

from __future__ import annotations

import codecs

MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Byte-order marks of other encodings, the longer ones first."""


def decode_text(content: bytes) -> str:
    """Return the text of a file; ``ValueError`` saying what it is instead, and what to do, if it is not UTF-8."""
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            raise ValueError(f"is saved as {encoding}; save it as UTF-8 (in the editor: Save as, encoding UTF-8)")
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text (byte {error.start} cannot be read); save it as UTF-8") from error
