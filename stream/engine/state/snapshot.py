"""The clean rows of a partition, a few at a time, while the stream goes on.

A row is clean when its bytes are in the changelog, or on their way there. Rows that are dirty when
the walk comes to them are passed over and counted: their next version will be in the changelog
behind the place the walk began at. So what a walk gives, with the log from that place on, is the
partition whole, once a checkpoint that began after the walk is done.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .eviction import Evictor
from .partition import Partition
from .slab import Slab

_WINDOW = 65_536
"""Slots looked through at once."""


class RowBlock(NamedTuple):
    """Some keys and their rows; `rows` has shape `(n, nbytes)`."""

    keys: list[bytes]
    rows: NDArray[np.uint8]


class SnapshotScan:
    """One way through a partition: first what was put away, then memory, then who moved meanwhile.

    Args:
        slab: Rows in memory.
        overflow: Rows that were put away.
        part: The partition; only one walk at a time.
    """

    def __init__(self, slab: Slab, overflow: Evictor, part: Partition) -> None:
        self._slab, self._overflow, self._part = slab, overflow, part
        self._cursor = 0
        self._page = 0
        self._last_page = 0 if part.spill is None else part.spill.last()
        self._left: list[bytes] | None = None
        self.skipped = 0
        part.departed = []

    def take(self, limit: int) -> RowBlock | None:
        """Copy at most `limit` more rows; None at the end."""
        block = self._from_spill(limit) or self._from_slab(limit)
        if block is None:
            if self._left is None:  # who is put away from now on has been passed already
                self._left = list(dict.fromkeys(self._part.departed or ()))
                self._part.departed = None
            block = self._from_departed(limit)
        return block

    def close(self) -> None:
        """Give up, or be done."""
        self._part.departed = None

    @property
    def gone(self) -> bool:
        """Whether the partition was given up meanwhile."""
        return self._part.gone

    @property
    def waiting(self) -> int:
        """Rows and tombstones of which the changelog does not have the last version yet."""
        return self.skipped + len(self._part.tombstones) + self._part.unmigrated()

    def _from_spill(self, limit: int) -> RowBlock | None:
        part = self._part
        while part.spill is not None and self._page < self._last_page:
            found = part.spill.page(self._page, limit)
            if not found:
                break
            self._page = found[-1][0]
            # those in memory have left a copy behind, maybe an old one
            block = self._block([(key, row) for _, key, row in found if key not in part.index])
            if block is not None:
                return block
        self._page = self._last_page
        return None

    def _from_slab(self, limit: int) -> RowBlock | None:
        slab, number = self._slab, self._part.number
        while self._cursor < slab.high:
            end = min(self._cursor + _WINDOW, slab.high)
            mine = np.flatnonzero(slab.owner[self._cursor : end] == number)[:limit] + self._cursor
            self._cursor = int(mine[-1]) + 1 if mine.size == limit else end
            clean = mine[~slab.dirty[mine]]
            self.skipped += int(mine.size - clean.size)
            if clean.size:
                return RowBlock(slab.keys(clean), slab.rows[clean])
        return None

    def _from_departed(self, limit: int) -> RowBlock | None:
        part, slab = self._part, self._slab
        while self._left:
            keys, self._left = self._left[:limit], self._left[limit:]
            found = dict(self._overflow.away(part, [key for key in keys if key not in part.index]))
            for key in keys:
                slot = part.index.get(key)
                if slot is None:
                    continue
                if slab.dirty[slot]:
                    self.skipped += 1
                else:
                    found[key] = slab.rows[slot].tobytes()
            block = self._block(list(found.items()))
            if block is not None:
                return block
        return None

    def _block(self, rows: list[tuple[bytes, bytes]]) -> RowBlock | None:
        if not rows:
            return None
        ours = [self._overflow.ours(self._part, key, row) for key, row in rows]
        return RowBlock([key for key, _ in rows], np.stack(ours))
