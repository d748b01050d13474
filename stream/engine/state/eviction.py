"""Room in a full slab: rows least recently used go to their partition's spill, and come back.

Only rows that were written out go: their bytes are in the changelog, or on their way there. A row
comes back before its key is touched, as it left; no result depends on where it was meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .partition import Partition
from .slab import Slab
from .spill import Spilled

_SHARE, _MOST = 16, 16_384
"""Rows put away at once: this part of the slab, and at most so many. Finding them costs a scan."""


class Evictor:
    """Moves rows between a slab and the spills of its partitions.

    Args:
        slab: Rows in memory.
        due: From slots to the clock at which each key falls silent, microseconds.
        ours: Makes a row of this slab from one that was put away, maybe under an earlier model.
    """

    def __init__(
        self,
        slab: Slab,
        due: Callable[[NDArray[np.int64]], NDArray[np.int64]],
        ours: Callable[[Partition, bytes, bytes], NDArray[np.uint8]],
    ) -> None:
        self._slab = slab
        self._due = due
        self.ours = ours
        self._parts: dict[int, Partition] = {}
        self.evicted = 0
        self.returned = 0
        self.forgotten = 0
        self.expired = 0

    def go_on_from(self, former: Evictor) -> None:
        """Count on where another one ended."""
        self.evicted, self.returned = former.evicted, former.returned
        self.forgotten, self.expired = former.forgotten, former.expired

    def waiting(self) -> int:
        """Rows of other layouts or models that wait in memory, over all partitions."""
        return sum(len(part.foreign) for part in self._parts.values())

    def opened(self, part: Partition) -> None:
        """A partition is owned now."""
        self._parts[part.number] = part

    def closed(self, part: Partition) -> None:
        """A partition is given up."""
        self._parts.pop(part.number, None)
        if part.spill is not None:
            part.spill.close()
            part.spill = None

    def elsewhere(self, part: Partition, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Those of `keys` that another partition of the same topic has, and which one."""
        found: dict[bytes, int] = {}
        for other in self._parts.values():
            if other is not part and other.tp[0] == part.tp[0]:
                index = other.index
                found.update((key, other.tp[1]) for key in keys if key in index)
                found.update(dict.fromkeys(self.away(other, keys), other.tp[1]))
        return found

    def away(self, part: Partition, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Rows of those of `keys`, none of them in memory, that were put away."""
        if part.spill is None or not len(part.spill) or not keys:
            return {}
        return part.spill.get(keys)

    def restore(
        self, part: Partition, keys: Sequence[bytes], protect: NDArray[np.int64]
    ) -> list[bytes]:
        """Put rows back into memory.

        Returns:
            Keys for which there was no room.
        """
        absent = [key for key in keys if key not in part.index]
        found = self.away(part, absent)
        self.make_room(len(found), protect)
        left = []
        for key, row in found.items():
            if self._slab.full():
                left.append(key)
            else:
                self.take_in(part, key, row)
        return left

    def take_in(self, part: Partition, key: bytes, row: bytes) -> int:
        """Put one row back; there must be room. Gives its slot."""
        slot = self._slab.allocate(key, part.number)
        part.index[key] = slot
        self._slab.rows[slot] = self.ours(part, key, row)
        self.returned += 1
        return slot

    def make_room(self, need: int, protect: NDArray[np.int64]) -> None:
        """Free so many slots, or as many as may be freed.

        Args:
            need: Slots wanted.
            protect: Slots that must stay.
        """
        slab = self._slab
        need -= slab.max_keys - slab.used
        if need <= 0 or not any(part.spill is not None for part in self._parts.values()):
            return
        n = slab.high
        free_to_go = (slab.owner[:n] >= 0) & ~slab.dirty[:n]
        free_to_go[protect[(protect >= 0) & (protect < n)]] = False
        slots = np.flatnonzero(free_to_go)
        count = min(slots.size, max(need, min(slab.max_keys // _SHARE, _MOST)))
        if not count:
            return
        slots = slots[np.argpartition(slab.touched[slots], count - 1)[:count]]
        slots = slots[np.argsort(slab.touched[slots], kind="stable")]
        by_part: dict[int, list[Spilled]] = defaultdict(list)
        for slot, due in zip(slots.tolist(), self._due(slots).tolist(), strict=True):
            part = self._parts[int(slab.owner[slot])]
            if part.spill is None:
                continue
            key = slab.key(slot)
            by_part[part.number].append(Spilled(key, slab.rows[slot].tobytes(), due))
            del part.index[key]
            slab.free(slot)
        for number, rows in by_part.items():
            self.evict(self._parts[number], rows)

    def evict(self, part: Partition, rows: list[Spilled]) -> None:
        """Give rows to their partition's spill."""
        assert part.spill is not None
        if part.departed is not None:
            part.departed += [row.key for row in rows]
        self.evicted += len(rows)
        gone = [
            key for key in part.spill.put(rows) if key not in part.index and key not in part.foreign
        ]
        part.tombstones.update(dict.fromkeys(gone))
        self.forgotten += len(gone)
