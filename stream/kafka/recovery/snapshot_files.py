"""A copy of a partition's state as a file: frames with a checksum each, the last one says so.

    EMBERSN1 | head (JSON) | block | block | ... | end (JSON)

A frame is a kind, a CRC-32 and a length, then the bytes. A block is its keys' lengths, its keys,
its rows. A file appears under its name only when it is whole and on the disk.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import msgspec
import numpy as np
import psutil

from stream.engine import RowBlock
from stream.types import TP

T = TypeVar("T")

_MAGIC = b"EMBERSN1"
_FRAME = struct.Struct("<4sIQ")
_COUNT = struct.Struct("<I")
_HEAD, _BLOCK, _END = b"HEAD", b"ROWS", b"END."
_MOST_BYTES = 1 << 30
"""No frame is longer: a length beyond is damage."""


class DamagedError(Exception):
    """A file is not what was written."""


class Head(msgspec.Struct, kw_only=True):
    """What a copy is of.

    Attributes:
        changelog_id: Kafka's id of the changelog topic.
        offset: Changelog offset that is contained; the log from the next one on completes it.
        taken: Seconds since the epoch when `offset` was noted.
        model: SHA-256 of the model of the rows.
        fields: Name, type and shape of every field of a row.
        row_bytes: Length of a row.
    """

    changelog_id: str
    offset: int
    taken: float
    model: str
    fields: list[tuple[str, str, tuple[int, ...]]]
    row_bytes: int


class End(msgspec.Struct, kw_only=True):
    """What is known once all rows are there.

    Attributes:
        rows: How many.
        meta: The partition's meta row.
        committed_before: What the group had committed before it was written; None: not known.
    """

    rows: int
    meta: bytes
    committed_before: int | None


class SnapshotFiles:
    """The files of a group on this host; workers on it may share them.

    Args:
        directory: Where; made when it is needed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, tp: TP) -> Path:
        """Name of a partition's file."""
        return self.directory / f"{quote(tp[0], safe='')}-{tp[1]}.snapshot"

    def write(self, tp: TP, head: Head) -> SnapshotWriter:
        """Begin a new file.

        Raises:
            OSError: If that cannot be done.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        return SnapshotWriter(self.path(tp), head)

    def read(self, tp: TP) -> SnapshotReader | None:
        """Open a file, and read what it is of; None: there is none.

        Raises:
            DamagedError: If it is not such a file.
            OSError: If it cannot be read.
        """
        try:
            return SnapshotReader(self.path(tp))
        except FileNotFoundError:
            return None

    def remove(self, tp: TP) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(OSError):  # it is refused again next time
            self.path(tp).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what writers that are dead now have left unfinished, where that may be done."""
        with contextlib.suppress(OSError):  # a disk to which no copy can be written is named then
            for path in self.directory.glob("*.tmp"):
                owner = path.suffixes[-2][1:] if len(path.suffixes) > 1 else ""
                if owner.isdecimal() and _gone(int(owner)):
                    with contextlib.suppress(OSError):
                        path.unlink(missing_ok=True)


def _gone(pid: int) -> bool:
    """Whether a process writes no more; of this one's number it was an earlier one."""
    return pid == os.getpid() or not psutil.pid_exists(pid)


class SnapshotWriter:
    """Writes a file; nothing is there before `commit`.

    Args:
        path: Its name.
        head: What it is of.
    """

    def __init__(self, path: Path, head: Head) -> None:
        self._path = path
        self._temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        self._file: BinaryIO = self._temporary.open("wb")
        self._rows = 0
        try:
            self._file.write(_MAGIC)
            self._frame(_HEAD, msgspec.json.encode(head))
        except OSError:
            self.discard()
            raise

    def _frame(self, kind: bytes, *parts: Any) -> None:
        check, size = 0, 0
        for part in parts:
            check = zlib.crc32(part, check)
            size += memoryview(part).nbytes
        self._file.write(_FRAME.pack(kind, check, size))
        for part in parts:
            self._file.write(part)

    def append(self, block: RowBlock) -> None:
        """Write some rows."""
        sizes = np.fromiter(map(len, block.keys), dtype="<u2", count=len(block.keys))
        keys = _COUNT.pack(len(block.keys)) + sizes.tobytes() + b"".join(block.keys)
        self._frame(_BLOCK, keys, np.ascontiguousarray(block.rows).data.cast("B"))
        self._rows += len(block.keys)

    def commit(self, meta: bytes, committed_before: int | None) -> int:
        """Finish the file, wait until it is on the disk, give it its name.

        Returns:
            Its bytes.
        """
        end = End(rows=self._rows, meta=meta, committed_before=committed_before)
        self._frame(_END, msgspec.json.encode(end))
        self._file.flush()
        size = self._file.tell()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return size

    def discard(self) -> None:
        """Give up; the former file stays. May be called after `commit`, and twice."""
        with contextlib.suppress(OSError):  # what was not flushed is not wanted
            self._file.close()
        with contextlib.suppress(OSError):  # swept at the next start
            self._temporary.unlink(missing_ok=True)


class SnapshotReader:
    """Reads a file from its beginning.

    Args:
        path: Its name.

    Attributes:
        head: What it is of.
        end: Known when `block` has given None.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._space = [bytearray(), bytearray()]
        self._reading = threading.Lock()
        self._rows = 0
        self.end: End | None = None
        try:
            if self._file.read(len(_MAGIC)) != _MAGIC:
                raise DamagedError("not a snapshot of this version")
            kind, data = self._frame()
            if kind != _HEAD:
                raise DamagedError(f"it begins with {kind!r}")
            self.head = _decode(data, Head)
        except BaseException:
            self.close()
            raise

    def _frame(self) -> tuple[bytes, memoryview]:
        start = self._file.read(_FRAME.size)
        if len(start) < _FRAME.size:
            raise DamagedError("it is cut off")
        kind, check, size = _FRAME.unpack(start)
        if size > _MOST_BYTES:
            raise DamagedError(f"a frame of {size} bytes")
        self._space.reverse()  # the former block may still be in use
        if len(self._space[0]) < size:
            self._space[0] = bytearray(size)
        data = memoryview(self._space[0])[:size]
        at = 0
        while at < size:
            got = self._file.readinto(data[at:])  # type: ignore[attr-defined]
            if not got:
                raise DamagedError("it is cut off")
            at += got
        if zlib.crc32(data) != check:
            raise DamagedError("a checksum differs")
        return kind, data

    def block(self) -> RowBlock | None:
        """The next rows, valid until the next but one call; None: that was all, see `end`.

        Raises:
            DamagedError: If the file is not what was written.
        """
        with self._reading:
            kind, data = self._frame()
        if kind == _END:
            self.end = _decode(data, End)
            if self.end.rows != self._rows:
                raise DamagedError(f"{self._rows} rows instead of {self.end.rows}")
            return None
        if kind != _BLOCK:
            raise DamagedError(f"a frame of kind {kind!r}")
        (count,) = _COUNT.unpack_from(data)
        sizes = np.frombuffer(data, dtype="<u2", count=count, offset=_COUNT.size)
        begin = _COUNT.size + 2 * count
        ends = (np.cumsum(sizes, dtype=np.int64)).tolist()
        stop = ends[-1] if ends else 0
        flat = bytes(data[begin : begin + stop])
        keys = [flat[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        rows = np.frombuffer(data, dtype=np.uint8, offset=begin + stop)
        if rows.size != count * self.head.row_bytes:
            raise DamagedError("a block of another length than its rows")
        self._rows += count
        return RowBlock(keys, rows.reshape(count, self.head.row_bytes))

    def close(self) -> None:
        """Close the file, not before a read that goes on in another thread is done."""
        with self._reading:
            self._file.close()


def _decode(data: memoryview, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DamagedError(str(error)) from None
