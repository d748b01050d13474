"""Room in a full slab: rows least recently used go to their partition's spill, and are restored.

Only rows that were written out are evicted: their bytes are in the changelog, or on their way
there. A row is restored before its key is used, unchanged, so that no result depends on the
place it was in meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .given_up import GivenUp
from .migration import Description
from .partition import Partition
from .slab import Slab
from .spill import Spilled

_SHARE, _MOST = 16, 16_384
"""Rows evicted at once: this part of the slab, and at most so many. To find them costs a scan."""


class Evictor:
    """Moves rows between a slab and the spills of its partitions.

    Attributes:
        evicted: Rows moved to a spill so far.
        returned: Rows restored from one.
        forgotten: Rows that a full spill lost.
        expired: Rows of keys that expired.

    Args:
        slab: Rows in memory.
        due: Function of slots that returns the clock at which each key becomes idle, microseconds.
        migrated_row: Function of a partition, a key and its spilled row, maybe of an earlier model,
            that returns the current row, and the alerts that it does not hold open any more.
        open_alerts: Function of a row, the layouts known, and the reason for which the row is lost,
            that returns the alerts it holds open.
    """

    def __init__(
        self,
        slab: Slab,
        due: Callable[[NDArray[np.int64]], NDArray[np.int64]],
        migrated_row: Callable[[Partition, bytes, bytes], tuple[NDArray[np.uint8], GivenUp | None]],
        open_alerts: Callable[[bytes, Mapping[int, Description], str], GivenUp | None],
    ) -> None:
        self._slab = slab
        self._due = due
        self._migrated_row = migrated_row
        self._open_alerts = open_alerts
        self._parts: dict[int, Partition] = {}
        self.evicted = 0
        self.returned = 0
        self.forgotten = 0
        self.expired = 0

    def continue_counts(self, former: Evictor) -> None:
        """Begin with the counts of another evictor."""
        self.evicted, self.returned = former.evicted, former.returned
        self.forgotten, self.expired = former.forgotten, former.expired

    def unmigrated_in_memory(self) -> int:
        """Return the number of rows in memory to be migrated, over all partitions."""
        return sum(len(part.unmigrated) for part in self._parts.values())

    def add_partition(self, part: Partition) -> None:
        """Begin to evict rows of a partition."""
        self._parts[part.number] = part

    def remove_partition(self, part: Partition) -> None:
        """Stop evicting rows of a partition, and close its spill."""
        self._parts.pop(part.number, None)
        if part.spill is not None:
            part.spill.close()
            part.spill = None

    def partition_of(self, owner: int) -> Partition:
        """Return the partition with a number, as in `Slab.owner`."""
        return self._parts[owner]

    def other_partitions(self, part: Partition, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return the number of the partition that has the state of each key, where another has.

        Args:
            part: Partition that received the keys; the others are those of the same topic.
            keys: Keys that it does not have.
        """
        partitions: dict[bytes, int] = {}
        for candidate in self._parts.values():
            if candidate is not part and candidate.tp[0] == part.tp[0]:
                index, number = candidate.index, candidate.tp[1]
                partitions.update((key, number) for key in keys if key in index)
                partitions.update(dict.fromkeys(self.spilled(candidate, keys), number))
        return partitions

    def spilled(self, part: Partition, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the spilled rows of keys, none of which is in memory."""
        if part.spill is None or not len(part.spill) or not keys:
            return {}
        return part.spill.get(keys)

    def restore(
        self, part: Partition, keys: Sequence[bytes], protected: NDArray[np.int64]
    ) -> list[bytes]:
        """Restore rows to memory.

        Args:
            part: The partition.
            keys: Keys of the rows; those in memory already are left as they are.
            protected: Slots that must stay in memory.

        Returns:
            Keys for which there was no room.
        """
        rows = self.spilled(part, [key for key in keys if key not in part.index])
        self.free_slots(len(rows), protected)
        without_room = []
        for key, row in rows.items():
            if self._slab.full():
                without_room.append(key)
            else:
                self.restore_row(part, key, row)
        return without_room

    def restore_row(self, part: Partition, key: bytes, row: bytes) -> int:
        """Restore one row and return its slot; there must be room."""
        slot = self._slab.allocate(key, part.number)
        part.index[key] = slot
        self._slab.rows[slot], given_up = self._migrated_row(part, key, row)
        if given_up is not None:
            part.given_up[key] = given_up
        self.returned += 1
        return slot

    def migrated_row(self, part: Partition, key: bytes, row: bytes) -> NDArray[np.uint8]:
        """Return the current row of a key, made of its spilled one, which stays as it is."""
        return self._migrated_row(part, key, row)[0]

    def free_slots(self, need: int, protected: NDArray[np.int64]) -> None:
        """Evict rows until enough slots are free, or no more rows may be evicted.

        Args:
            need: Slots wanted.
            protected: Slots that must stay in memory.
        """
        slab = self._slab
        need -= slab.max_keys - slab.used
        if need <= 0 or not any(part.spill is not None for part in self._parts.values()):
            return
        n = slab.high
        evictable = (slab.owner[:n] >= 0) & ~slab.dirty[:n]
        evictable[protected[(protected >= 0) & (protected < n)]] = False
        slots = np.flatnonzero(evictable)
        count = min(slots.size, max(need, min(slab.max_keys // _SHARE, _MOST)))
        if not count:
            return
        # The least recently used ones by a partition, in linear time; then those in order of use.
        slots = slots[np.argpartition(slab.last_used[slots], count - 1)[:count]]
        slots = slots[np.argsort(slab.last_used[slots], kind="stable")]
        rows_of: dict[int, list[Spilled]] = defaultdict(list)
        for slot, due in zip(slots.tolist(), self._due(slots).tolist(), strict=True):
            part = self._parts[int(slab.owner[slot])]
            if part.spill is None:
                continue
            key = slab.key(slot)
            rows_of[part.number].append(Spilled(key, slab.rows[slot].tobytes(), due))
            del part.index[key]
            slab.free(slot)
        for number, rows in rows_of.items():
            self.evict(self._parts[number], rows)

    def evict(self, part: Partition, rows: list[Spilled]) -> None:
        """Give rows to their partition's spill."""
        assert part.spill is not None
        if part.evicted_during_scan is not None:
            part.evicted_during_scan += [row.key for row in rows]
        self.evicted += len(rows)
        lost_rows = part.spill.put(rows)
        forgotten = {
            key: row
            for key, row in lost_rows
            if key not in part.index and key not in part.unmigrated
        }
        part.tombstones.update(dict.fromkeys(forgotten))
        self.forgotten += len(forgotten)
        for key, row in forgotten.items():
            given_up = self._open_alerts(row, part.descriptions, "evicted")
            if given_up is not None:
                # Alerts that an earlier migration gave up come first: they are of the same row.
                part.given_up.setdefault(key, given_up)
