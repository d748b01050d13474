"""The clean rows of a partition, a few at a time, while the stream goes on.

A row is clean when its bytes are in the changelog, or on their way there. Rows that are dirty when
the scan comes to them are passed over and counted: their next version will be in the changelog
behind the place at which the scan began. So the rows of a scan, with the log from that place on,
are the whole partition, once a checkpoint that began after the scan is done.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .eviction import Evictor
from .partition import Partition
from .slab import Slab

_SCANNED = 65_536
"""Slots looked through at once."""


class RowBlock(NamedTuple):
    """Some keys and their rows; `rows` has shape `(n, nbytes)`."""

    keys: list[bytes]
    rows: NDArray[np.uint8]


class RowScan(Protocol):
    """One scan of a partition, a few rows at a time."""

    def take(self, limit: int) -> RowBlock | None:
        """Copy at most `limit` more rows; None at the end."""

    def close(self) -> None:
        """End the scan, also before it is complete."""

    @property
    def gone(self) -> bool:
        """True once the partition was detached."""

    @property
    def waiting(self) -> int:
        """Rows and tombstones of which the changelog does not have the last version yet."""


class SnapshotScan:
    """One scan of a partition: first spilled rows, then memory, then rows evicted meanwhile.

    Attributes:
        skipped: Dirty rows passed over so far.

    Args:
        slab: Rows in memory.
        evictor: Reads spilled rows.
        part: The partition; only one scan at a time.
    """

    def __init__(self, slab: Slab, evictor: Evictor, part: Partition) -> None:
        self._slab, self._evictor, self._part = slab, evictor, part
        self._slot = 0  # next one to scan
        self._page = 0
        self._last_page = 0 if part.spill is None else part.spill.last()
        self._evicted: list[bytes] | None = None  # keys to visit once memory is scanned
        self.skipped = 0
        part.evicted_during_scan = []

    def take(self, limit: int) -> RowBlock | None:
        """Copy at most `limit` more rows; None at the end."""
        block = self._from_spill(limit) or self._from_slab(limit)
        if block is None:
            if self._evicted is None:  # keys evicted from now on have been passed already
                self._evicted = list(dict.fromkeys(self._part.evicted_during_scan or ()))
                self._part.evicted_during_scan = None
            block = self._from_evicted(limit)
        return block

    def close(self) -> None:
        """End the scan, also before it is complete."""
        self._part.evicted_during_scan = None

    @property
    def gone(self) -> bool:
        """True once the partition was detached."""
        return self._part.gone

    @property
    def waiting(self) -> int:
        """Rows and tombstones of which the changelog does not have the last version yet."""
        return self.skipped + len(self._part.tombstones) + self._part.unmigrated_rows()

    def _from_spill(self, limit: int) -> RowBlock | None:
        part = self._part
        while part.spill is not None and self._page < self._last_page:
            page = part.spill.page(self._page, limit)
            if not page:
                break
            self._page = page[-1][0]
            # A key in memory has left a copy behind, maybe an old one.
            block = self._block([(key, row) for _, key, row in page if key not in part.index])
            if block is not None:
                return block
        self._page = self._last_page
        return None

    def _from_slab(self, limit: int) -> RowBlock | None:
        slab, number = self._slab, self._part.number
        while self._slot < slab.high:
            end = min(self._slot + _SCANNED, slab.high)
            slots = np.flatnonzero(slab.owner[self._slot : end] == number)[:limit] + self._slot
            self._slot = int(slots[-1]) + 1 if slots.size == limit else end
            clean = slots[~slab.dirty[slots]]
            self.skipped += int(slots.size - clean.size)
            if clean.size:
                return RowBlock(slab.keys(clean), slab.rows[clean])
        return None

    def _from_evicted(self, limit: int) -> RowBlock | None:
        part, slab = self._part, self._slab
        while self._evicted:
            keys, self._evicted = self._evicted[:limit], self._evicted[limit:]
            rows = dict(self._evictor.spilled(part, [key for key in keys if key not in part.index]))
            for key in keys:  # those restored since
                slot = part.index.get(key)
                if slot is None:
                    continue
                if slab.dirty[slot]:
                    self.skipped += 1
                else:
                    rows[key] = slab.rows[slot].tobytes()
            block = self._block(list(rows.items()))
            if block is not None:
                return block
        return None

    def _block(self, rows: list[tuple[bytes, bytes]]) -> RowBlock | None:
        if not rows:
            return None
        current = [self._evictor.migrated_row(self._part, key, row) for key, row in rows]
        return RowBlock([key for key, _ in rows], np.stack(current))
