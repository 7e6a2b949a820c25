"""Opens text files as people have them: packed or not, in the encodings of editors and spreadsheets, line by line."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from dslnode.data.readers.class_folders import is_debris
from dslnode.data.readers.raw import MAX_FILE_BYTES, existing_file
from dslnode.errors import DataError

MAX_LINE_CHARACTERS = 2**22
BLOCK_BYTES = 2**20
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
OTHER_FORMATS = {
    b"PAR1": ("a Parquet file", "parquet:"),
    b"SQLite format 3\x00": ("a SQLite file", "sqlite:"),
    b"\x93NUMPY": ("a numpy array", "npz:, after numpy.savez"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file", "csv:, after saving it as CSV"),
    b"BZh": ("packed with bzip2", "csv:, after packing it with gzip"),
    b"\xfd7zXZ": ("packed with xz", "csv:, after packing it with gzip"),
}
"""What a file is instead of text, by its first bytes, and the prefix that reads it."""


@dataclass(frozen=True)
class TextFile:
    """A text file whose packing and encoding are known."""

    path: Path
    encoding: str

    @property
    def notes(self) -> tuple[str, ...]:
        """The encoding, where it is not the usual one."""
        return () if self.encoding in {"utf-8", "utf-8-sig"} else (f"encoding {self.encoding}",)

    def lines(self) -> Iterator[str]:
        """Yield the lines with their ends. Raises ``DataError`` that names the line."""
        with _reading(self.path), _open_unpacked(self.path) as stream:
            text = io.TextIOWrapper(stream, encoding=self.encoding, errors="replace", newline="")
            number, characters = 0, 0
            while line := text.readline(MAX_LINE_CHARACTERS):
                number, characters = number + 1, characters + len(line)
                if len(line) == MAX_LINE_CHARACTERS:
                    raise DataError(
                        f"{self.path}, line {number}: longer than {MAX_LINE_CHARACTERS} characters;"
                        " this is no table with one row per line"
                    )
                if characters > MAX_FILE_BYTES:
                    raise DataError(f"{self.path}: unpacks to over {MAX_FILE_BYTES} characters; split the data set")
                yield line

    def text(self, limit: int) -> str:
        """Return the whole text. Raises ``DataError`` if it has more than so many characters."""
        with _reading(self.path), _open_unpacked(self.path) as stream:
            text = io.TextIOWrapper(stream, encoding=self.encoding, errors="replace", newline="").read(limit + 1)
        if len(text) > limit:
            raise DataError(f"{self.path}: over {limit} characters, and this format is read whole; split the data set")
        return text


def open_text(path: Path, encoding: str = "") -> TextFile:
    """Find out packing and encoding, unless the encoding is given. Raises ``DataError``."""
    with _reading(path), _open_unpacked(existing_file(path)) as stream:
        if encoding:
            return TextFile(path, _known(encoding, path))
        return TextFile(path, _find_encoding(stream, path))


def _known(encoding: str, path: Path) -> str:
    try:
        info = codecs.lookup(encoding)
    except LookupError:
        info = None
    if info is None or not getattr(info, "_is_text_encoding", True):
        raise DataError(f"{path}: encoding={encoding} is unknown; give one such as utf-8, utf-16 or cp1252")
    return info.name


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what unpacking raises into a ``DataError``."""
    try:
        yield
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); copy or pack it again") from error


@contextmanager
def _open_unpacked(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as stream:
        start = stream.read(16)
        for magic, (what, prefix) in OTHER_FORMATS.items():
            if start.startswith(magic):
                raise DataError(f"{path}: is {what}, not text; read it with --data {prefix}")
        stream.seek(0)
        if start.startswith(b"\x1f\x8b"):
            with gzip.open(stream) as unpacked:
                yield io.BufferedReader(unpacked)
        elif start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(stream) as archive, archive.open(_only_member(archive, path)) as member:
                yield io.BufferedReader(member)  # type: ignore[type-var]
        elif start.startswith(b"\x28\xb5\x2f\xfd"):
            with _open_zst(stream, path) as unpacked:
                yield io.BufferedReader(unpacked)
        else:
            yield stream


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [
        info for info in archive.infolist() if not info.is_dir() and not any(map(is_debris, info.filename.split("/")))
    ]
    if any(info.filename == "[Content_Types].xml" for info in members):
        raise DataError(f"{path}: is a spreadsheet, not text; save it as CSV")
    if len(members) != 1:
        names = ", ".join(info.filename for info in members[:5])
        raise DataError(f"{path}: holds {len(members)} files ({names}); pack one file, or unpack it and give a pattern")
    return members[0]


def _open_zst(stream: BinaryIO, path: Path) -> _ZstErrors:
    try:
        import zstandard
    except ImportError as error:
        raise DataError(
            f"{path}: is packed with zstd, which needs the package zstandard;"
            " install it with: pip install 'dslnode[tables]'"
        ) from error
    return _ZstErrors(zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True), zstandard.ZstdError)


class _ZstErrors(io.RawIOBase):
    """Reads from zstandard, and raises what the other ways of unpacking raise."""

    def __init__(self, reader: IO[bytes], error: type[Exception]) -> None:
        self._reader, self._error = reader, error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        try:
            content = self._reader.read(len(view))
        except self._error as error:
            raise EOFError(str(error)) from error
        view[: len(content)] = content
        return len(content)


def _find_encoding(stream: BinaryIO, path: Path) -> str:
    """Return the encoding by byte-order mark, by zero bytes of UTF-16, by validity as UTF-8, else cp1252."""
    block = stream.read(BLOCK_BYTES)
    for mark, encoding in MARKS:
        if block.startswith(mark):
            return encoding
    if b"\x00" in block[:4096]:
        return _utf16_by_zeros(block[:4096], path)
    decoder, total = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        while block:
            total += len(block)
            if total > MAX_FILE_BYTES:
                raise DataError(f"{path}: unpacks to over {MAX_FILE_BYTES} bytes; split the data set")
            decoder.decode(block)
            block = stream.read(BLOCK_BYTES)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _utf16_by_zeros(block: bytes, path: Path) -> str:
    high, low = block[1::2].count(0), block[::2].count(0)
    if max(high, low) * 4 < len(block) or min(high, low) * 8 > len(block):
        raise DataError(f"{path}: holds zero bytes, so it is no text; csv: needs a text file, plain, .gz, .zst or .zip")
    return "utf-16-le" if high > low else "utf-16-be"
