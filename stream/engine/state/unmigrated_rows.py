"""Rows written under an older model or layout, kept until they can be migrated.

They are kept until the changelog is read, as only then their layout is known: in memory while it
has room for all of them, the others in their partition's spill. A row that finds no room in memory
afterwards stays in the spill unchanged. It is migrated when it is restored, as after a change of
the model while the stream goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from .deadlines import NEVER_IDLE
from .eviction import Evictor
from .layout import LAYOUT_VERSION
from .migration import RowMigrator, version_in
from .partition import Partition
from .slab import Slab
from .spill import Spilled

_SHARE, _MOST = 16, 1024
"""Rows spilled at once, at least: this part of the slab, and no more than so many."""
_PAGE = 4096
"""Rows of a spill read at once."""


class UnmigratedRows:
    """Unmigrated rows of the partitions of a slab.

    Args:
        slab: Rows in memory.
        evictor: Moves rows to the spills.
        migrator: Makes current rows of them.
        initial_row: Function of a key that returns the row it begins with.
        due: Function of rows, `(n, nbytes)`, that returns the clock at which each becomes idle.
    """

    def __init__(
        self,
        slab: Slab,
        evictor: Evictor,
        migrator: RowMigrator,
        initial_row: Callable[[bytes], NDArray[np.uint8]],
        due: Callable[[NDArray[np.uint8]], list[int]],
    ) -> None:
        self._slab = slab
        self._evictor = evictor
        self._migrator = migrator
        self._initial_row = initial_row
        self._due = due

    def spill_excess(self, part: Partition) -> None:
        """Spill those of a partition that memory has no room for."""
        slab, spill = self._slab, part.spill
        excess = slab.used + self._evictor.unmigrated_in_memory() - slab.max_keys
        least = max(1, min(slab.max_keys // _SHARE, _MOST))
        if spill is None or min(excess, len(part.unmigrated)) < least:
            return
        begin, rows = spill.last(), list[Spilled]()
        for key in list(islice(part.unmigrated, excess)):
            row = part.unmigrated.pop(key)
            rows.append(Spilled(key, row, NEVER_IDLE))  # its deadline is known once it is migrated
            part.has_newer_layout |= version_in(row) > LAYOUT_VERSION
            slot = part.index.pop(key, None)  # an older row
            if slot is not None:
                slab.free(slot)
        self._evictor.evict(part, rows)
        page_after, page_last = part.unmigrated_pages
        page_after = min(page_after, begin) if page_after < page_last else begin
        part.unmigrated_pages = page_after, spill.last()

    def newest_layout(self, part: Partition) -> int:
        """Return the highest layout version of them; 0 where there are none."""
        versions = [version_in(row) for row in part.unmigrated.values()]
        page_after, page_last = part.unmigrated_pages
        while part.has_newer_layout and page_after < page_last:  # it may have been replaced since
            page_after, rows = self._page(part, page_after, _PAGE)
            versions += {version_in(row) for row in rows.values()}
        return max(versions, default=0)

    def migrate(self, part: Partition, limit: int) -> tuple[int, list[tuple[bytes, str]]]:
        """Migrate rows: first those in memory, then those in the spill.

        Args:
            part: The partition.
            limit: Most rows to look at.

        Returns:
            Number of rows migrated, and the keys and reasons of those that could not be.
        """
        source = {key: part.unmigrated.pop(key) for key in list(islice(part.unmigrated, limit))}
        page_after, page_last = part.unmigrated_pages
        if not source and page_after < page_last:
            page_after, source = self._page(part, page_after, limit)
            part.unmigrated_pages = page_after, page_last
        if not source:
            return 0, []
        keys, values = list(source), list(source.values())
        rows = np.stack([self._initial_row(key) for key in keys])
        reasons, given_up = self._migrator.migrate(values, part.descriptions, rows)
        part.given_up |= {keys[i]: alerts for i, alerts in given_up.items()}
        damaged = [(keys[i], reason) for i, reason in reasons.items()]
        self._forget(part, [key for key, _ in damaged])
        in_memory, without_slot = self._place(part, keys, rows, skipped=reasons.keys())
        if part.spill is None:
            reason = f"all {self._slab.max_keys} rows of state.max_keys are taken"
            damaged += [(keys[i], reason) for i in without_slot]
            return in_memory, damaged
        # As they are: a spilled row is migrated again when it is restored.
        due = zip(without_slot, self._due(rows[without_slot]), strict=True)
        spilled = [Spilled(keys[i], values[i], due_us) for i, due_us in due]
        if spilled:
            self._evictor.evict(part, spilled)
        return in_memory + len(spilled), damaged

    def _place(
        self, part: Partition, keys: list[bytes], rows: NDArray[np.uint8], skipped: Container[int]
    ) -> tuple[int, list[int]]:
        """Put migrated rows into memory.

        Args:
            part: The partition.
            keys: Keys of the rows.
            rows: Migrated rows, `(n, nbytes)`.
            skipped: Indices of rows that could not be migrated.

        Returns:
            Number of rows with a slot, and the indices of those without.
        """
        slab, index = self._slab, part.index
        placed, slots, without_slot = list[int](), list[int](), list[int]()
        for i, key in enumerate(keys):
            if i in skipped:
                continue
            slot = index.get(key)
            if slot is None and not slab.full():
                slot = index[key] = slab.allocate(key, part.number)
            if slot is None:
                without_slot.append(i)
            else:
                placed.append(i)
                slots.append(slot)
        slab.rows[slots] = rows[placed]
        slab.migrated[slots] = True
        return len(placed), without_slot

    def _page(self, part: Partition, after: int, limit: int) -> tuple[int, dict[bytes, bytes]]:
        """Return the place to go on behind, and the next rows in the spill, by key.

        Rows whose keys are in memory are older copies, and left out.
        """
        last = part.unmigrated_pages[1]
        page = [] if part.spill is None else part.spill.page(after, limit)
        rows = {
            key: row
            for number, key, row in page
            if number <= last and key not in part.index and key not in part.unmigrated
        }
        return min(page[-1][0], last) if page else last, rows

    def _forget(self, part: Partition, keys: list[bytes]) -> None:
        """Free the rows of keys, in memory and in the spill."""
        for key in keys:
            slot = part.index.pop(key, None)
            if slot is not None:
                self._slab.free(slot)
        if keys and part.spill is not None:
            part.spill.remove(keys)
