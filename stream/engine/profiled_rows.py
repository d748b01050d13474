"""Rows of several models as one: changed rows for a checkpoint, blocks of a snapshot."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import overload

import numpy as np

from stream.engine.state.snapshot import RowBlock, RowScan

from .result import DirtyRows


def join_dirty(taken: Sequence[DirtyRows]) -> DirtyRows:
    """Return the changed rows of several engines with one meta row, which is the last entry."""
    keys = [*chain.from_iterable(dirty.keys[:-1] for dirty in taken), taken[-1].keys[-1]]
    return DirtyRows(keys, _JoinedRows([dirty.rows for dirty in taken]))


class _JoinedRows(Sequence[bytes | None]):
    """Rows of several engines; each has the same meta row at its end, which comes once.

    A row becomes bytes only when it is asked for, as in `RowsTaken`.
    """

    def __init__(self, parts: Sequence[Sequence[bytes | None]]) -> None:
        self._parts = parts
        self._begins = list(accumulate((len(part) - 1 for part in parts), initial=0))

    def __len__(self) -> int:
        return self._begins[-1] + 1

    def __iter__(self) -> Iterator[bytes | None]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> bytes | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes | None]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes | None] | None:
        position = range(len(self))[index]
        if isinstance(position, range):
            return [self[i] for i in position]
        if position == len(self) - 1:
            return self._parts[-1][-1]
        number = bisect_right(self._begins, position) - 1
        return self._parts[number][position - self._begins[number]]


class JoinedScan:
    """Scan of the rows of several models; shorter rows are filled up with zeros.

    Args:
        scans: Scan of each.
        row_bytes: Length of the rows of a block.
    """

    def __init__(self, scans: Sequence[RowScan], row_bytes: int) -> None:
        self._scans, self._row_bytes = scans, row_bytes
        self._waiting = list(scans)

    def take(self, limit: int) -> RowBlock | None:
        """Copy at most `limit` more rows; None at the end."""
        while self._waiting:
            block = self._waiting[0].take(limit)
            if block is not None:
                rows = np.zeros((len(block.keys), self._row_bytes), dtype=np.uint8)
                rows[:, : block.rows.shape[1]] = block.rows
                return RowBlock(block.keys, rows)
            self._waiting.pop(0)
        return None

    def close(self) -> None:
        """End the scan, also before it is complete."""
        for scan in self._scans:
            scan.close()

    @property
    def gone(self) -> bool:
        """True once the partition was detached."""
        return any(scan.gone for scan in self._scans)

    @property
    def waiting(self) -> int:
        """Rows and tombstones of which the changelog does not have the last version yet."""
        return sum(scan.waiting for scan in self._scans)
