"""Rows of another layout or model: where they wait, and how they become ours.

They wait until the changelog is read, as only then it is known what they are: in memory while it
has room for all of them, the others in their partition's spill. What then finds no room in memory
stays in the spill as it is, and becomes ours on its way back, as under a model that was changed
while the stream went on.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from .eviction import Evictor
from .layout import LAYOUT_VERSION
from .migration import RowMigrator, version_in
from .partition import Partition
from .slab import Slab
from .spill import Spilled

_SHARE, _MOST = 16, 1024
"""Rows put aside at once, at least: this part of the slab, and no more than so many."""
_PAGE = 4096
"""Rows of a spill looked through at once."""
_UNKNOWN_DUE = 2**62


class UnmigratedRows:
    """Foreign rows of the partitions of a slab.

    Args:
        slab: Rows in memory.
        overflow: Knows the spills.
        adopter: Makes rows of ours.
        first: The row a key begins with.
        due: The clock at which each of some rows, `(n, nbytes)`, falls silent, microseconds.
    """

    def __init__(
        self,
        slab: Slab,
        overflow: Evictor,
        adopter: RowMigrator,
        first: Callable[[bytes], NDArray[np.uint8]],
        due: Callable[[NDArray[np.uint8]], list[int]],
    ) -> None:
        self._slab = slab
        self._overflow = overflow
        self._adopter = adopter
        self._first = first
        self._due = due

    def put_aside(self, part: Partition) -> None:
        """Bring those of a partition to its spill that are more than memory has room for."""
        slab, spill = self._slab, part.spill
        over = slab.used + self._overflow.waiting() - slab.max_keys
        least = max(1, min(slab.max_keys // _SHARE, _MOST))
        if spill is None or min(over, len(part.foreign)) < least:
            return
        begin, rows = spill.last(), list[Spilled]()
        for key in list(islice(part.foreign, over)):
            row = part.foreign.pop(key)
            rows.append(Spilled(key, row, _UNKNOWN_DUE))
            part.newer_aside |= version_in(row) > LAYOUT_VERSION
            slot = part.index.pop(key, None)  # an older row
            if slot is not None:
                slab.free(slot)
        self._overflow.evict(part, rows)
        after, until = part.aside
        part.aside = min(after, begin) if after < until else begin, spill.last()

    def newest(self, part: Partition) -> int:
        """The highest layout version of them; 0 where there are none."""
        versions = [version_in(row) for row in part.foreign.values()]
        after, until = part.aside
        while part.newer_aside and after < until:  # they may have been replaced since
            after, rows = self._page(part, after, _PAGE)
            versions += {version_in(row) for row in rows.values()}
        return max(versions, default=0)

    def migrate(self, part: Partition, limit: int) -> tuple[int, list[tuple[bytes, str]]]:
        """Make rows of ours: first those that wait in memory, then those in the spill.

        Args:
            part: The partition.
            limit: Most rows to look at.

        Returns:
            How many were made, and those that could not be.
        """
        found = {key: part.foreign.pop(key) for key in list(islice(part.foreign, limit))}
        if not found and part.aside[0] < part.aside[1]:
            after, found = self._page(part, part.aside[0], limit)
            part.aside = after, part.aside[1]
        if not found:
            return 0, []
        keys, values = list(found), list(found.values())
        rows = np.stack([self._first(key) for key in keys])
        whys = self._adopter.migrate(values, part.described, rows)
        damaged = [(keys[place], why) for place, why in whys.items()]
        self._forget(part, [key for key, _ in damaged])
        slab, index = self._slab, part.index
        here, slots, left = list[int](), list[int](), list[int]()
        for place, key in enumerate(keys):
            if place in whys:
                continue
            slot = index.get(key)
            if slot is None and not slab.full():
                slot = index[key] = slab.allocate(key, part.number)
            if slot is None:
                left.append(place)
            else:
                here.append(place)
                slots.append(slot)
        slab.rows[slots] = rows[here]
        slab.adopted[slots] = True
        if part.spill is None:
            why = f"all {slab.max_keys} rows of state.max_keys are taken"
            damaged += [(keys[place], why) for place in left]
            return len(here), damaged
        due = self._due(rows[left])
        away = [Spilled(keys[at], values[at], end) for at, end in zip(left, due, strict=True)]
        if away:
            self._overflow.evict(part, away)
        return len(here) + len(left), damaged

    def _page(self, part: Partition, after: int, limit: int) -> tuple[int, dict[bytes, bytes]]:
        """The next rows that wait in the spill, and the place to go on behind.

        Those whose keys are held in memory are old copies.
        """
        until = part.aside[1]
        page = [] if part.spill is None else part.spill.page(after, limit)
        found = {
            key: row
            for place, key, row in page
            if place <= until and key not in part.index and key not in part.foreign
        }
        return min(page[-1][0], until) if page else until, found

    def _forget(self, part: Partition, keys: list[bytes]) -> None:
        """Give up what is there of keys."""
        for key in keys:
            slot = part.index.pop(key, None)
            if slot is not None:
                self._slab.free(slot)
        if keys and part.spill is not None:
            part.spill.remove(keys)
