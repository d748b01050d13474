"""Bytes of a file as text: packed or not, in whatever encoding."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, TextIO, cast

from ._errors import DataError

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Endings of packed files."""

_BLOCK_BYTES = 1 << 20
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# Lines that begin so are data: errors of spreadsheets.
_NO_COMMENTS = (b"#N/A", b"#NA", b"#VALUE!", b"#REF!", b"#DIV/0!", b"#NUM!", b"#NAME?", b"#NULL!")


class Scan(NamedTuple):
    """Findings of one pass over the bytes of a file."""

    encoding: str
    """Name for `open`."""
    is_guess: bool
    """Whether the encoding is one of Windows, taken because the bytes are no UTF-8."""
    comments: bool
    """Whether a line after the first begins with `#`."""


def open_bytes(path: Path) -> BinaryIO:
    """Open a file, unpacked where its name ends in .gz, .bz2, .xz, .zst or .zip."""
    ending = path.suffix.lower()
    if ending == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if ending == ".bz2":
        return cast(BinaryIO, bz2.open(path, "rb"))
    if ending == ".xz":
        return cast(BinaryIO, lzma.open(path, "rb"))
    if ending == ".zst":
        return _zstd(path)
    if ending == ".zip":
        return _zipped(path)
    return path.open("rb")


def open_text(path: Path, encoding: str) -> TextIO:
    """Open a file as text, see `open_bytes`."""
    return io.TextIOWrapper(open_bytes(path), encoding=encoding)


def scan(path: Path, encoding: str = "") -> Scan:
    """Read a file once for its encoding and its comment lines.

    Args:
        path: The file.
        encoding: Encoding that the user named; empty: told from the bytes.
    """
    comments = decodes = False
    decodes = True
    pending = b""
    with open_bytes(path) as file:
        head = file.read(_BLOCK_BYTES)
        wide = _wide(head)
        block = head
        while block:
            comments = comments or _has_comment(block)
            if decodes and not (pending == b"" and block.isascii()):
                decodes, pending = _utf8(pending + block)
            block = file.read(_BLOCK_BYTES)
    if encoding:
        return Scan(encoding, False, comments)
    if wide:
        return Scan(wide, False, comments)
    if decodes and not pending:
        return Scan("utf-8-sig", False, comments)
    return Scan("cp1252" if _is_windows(path) else "latin-1", True, comments)


def comment_lines(path: Path, encoding: str) -> list[int]:
    """Return the numbers of the lines that begin with `#`, counted from 0."""
    words = tuple(word.decode() for word in _NO_COMMENTS)
    with open_text(path, encoding) as lines:
        return [
            number
            for number, line in enumerate(lines)
            if line.startswith("#") and not line.upper().startswith(words)
        ]


def _zstd(path: Path) -> BinaryIO:
    import cramjam

    try:
        return io.BytesIO(bytes(cramjam.zstd.decompress(path.read_bytes())))
    except cramjam.DecompressionError as error:
        raise ValueError(str(error)) from None


def _zipped(path: Path) -> BinaryIO:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if len(names) == 1:
                return io.BytesIO(archive.read(names[0]))
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None
    raise DataError(
        f"{path} holds several files. Expected an archive of one. Received: "
        f"{', '.join(names[:5]) or 'none'}. Unpack it and name the folder."
    )


def _wide(head: bytes) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    start = head[:1000]
    # ASCII in two bytes each has a zero in every other one.
    if len(start) >= 4 and start[1::2].count(0) > len(start) // 3:
        return "utf-16-le"
    if len(start) >= 4 and start[::2].count(0) > len(start) // 3:
        return "utf-16-be"
    return ""


def _has_comment(block: bytes) -> bool:
    if b"#" not in block:  # which is much faster to see
        return False
    position = block.find(b"\n#")
    while position >= 0:
        if not block[position + 1 : position + 9].upper().startswith(_NO_COMMENTS):
            return True
        position = block.find(b"\n#", position + 2)
    return False


def _utf8(block: bytes) -> tuple[bool, bytes]:
    """Test bytes for UTF-8; return the unfinished character at their end."""
    try:
        block.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.start > len(block) - 4:
            return True, block[error.start :]
        return False, b""
    return True, b""


def _is_windows(path: Path) -> bool:
    try:
        with open_text(path, "cp1252") as file:
            for _ in _blocks(file):
                pass
    except UnicodeDecodeError:
        return False
    return True


def _blocks(file: IO[str]) -> Iterator[str]:
    while block := file.read(_BLOCK_BYTES):
        yield block
