"""A disk that outlives its processes: files appear whole, by their name."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.engine import RowBlock
from stream.kafka.recovery.snapshot_files import End, Head
from stream.types import TP

Blocks = list[tuple[list[bytes], bytes]]


class Disk:
    """What `SnapshotFiles` does, in memory."""

    def __init__(self) -> None:
        self.files: dict[TP, tuple[Head, Blocks, End]] = {}

    def write(self, tp: TP, head: Head) -> Writer:
        return Writer(self, tp, head)

    def read(self, tp: TP) -> Any:
        return Reader(*self.files[tp]) if tp in self.files else None

    def remove(self, tp: TP) -> None:
        self.files.pop(tp, None)

    def sweep(self) -> None:
        """Nothing is left unfinished."""


class Writer:
    """A file in the making."""

    def __init__(self, disk: Disk, tp: TP, head: Head) -> None:
        self._disk, self._tp, self._head = disk, tp, head
        self._blocks: Blocks = []

    def append(self, block: RowBlock) -> None:
        self._blocks.append((block.keys, block.rows.tobytes()))

    def commit(self, meta: bytes, committed_before: int | None) -> int:
        rows = sum(len(keys) for keys, _ in self._blocks)
        end = End(rows=rows, meta=meta, committed_before=committed_before)
        self._disk.files[self._tp] = self._head, self._blocks, end
        return rows

    def discard(self) -> None:
        """Nothing to do."""


class Reader:
    """A whole file."""

    def __init__(self, head: Head, blocks: Blocks, end: End) -> None:
        self.head, self._blocks, self._end = head, list(blocks), end
        self.end: End | None = None

    def block(self) -> RowBlock | None:
        if not self._blocks:
            self.end = self._end
            return None
        keys, rows = self._blocks.pop(0)
        flat = np.frombuffer(rows, dtype=np.uint8)
        return RowBlock(keys, flat.reshape(len(keys), self.head.row_bytes))

    def close(self) -> None:
        """Nothing to do."""
