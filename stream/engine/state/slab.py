"""State of all keys: one contiguous slab of rows, and the slot of each key."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

Bytes2D = NDArray[np.uint8]


class Slab:
    """Rows in one block of memory, with a free list and dirty marks.

    The block is reserved for `max_keys` rows at once; a page costs memory only when a row in it
    is first written.

    Args:
        nbytes: Bytes of a row.
        max_keys: Most rows held.
    """

    def __init__(self, nbytes: int, max_keys: int) -> None:
        if max_keys < 1:
            raise ValueError(f"max_keys must be at least 1. Received: max_keys={max_keys}.")
        self.nbytes, self.max_keys = nbytes, max_keys
        self.rows = _reserve(max_keys, nbytes)
        self.dirty = np.zeros(max_keys, dtype=bool)
        self.migrated = np.zeros(max_keys, dtype=bool)  # to be dirty once open
        self.last_used = np.zeros(max_keys, dtype=np.int64)  # `step_number` of the last use
        self.step_number = 0  # of the step, or load of rows, that goes on
        self.owner = np.full(max_keys, -1, dtype=np.int32)  # number of the partition; -1 free
        self.rules = np.zeros(max_keys, dtype=np.int64)  # number of the key's rules; 0 unknown
        self._keys: list[bytes | None] = []
        self._free: list[int] = []

    @property
    def used(self) -> int:
        """Rows in use."""
        return len(self._keys) - len(self._free)

    @property
    def high(self) -> int:
        """Slots ever used; scans need to go no further."""
        return len(self._keys)

    def full(self) -> bool:
        """Return whether all slots are in use."""
        return not self._free and len(self._keys) >= self.max_keys

    def allocate(self, key: bytes, owner: int) -> int:
        """Return a slot for a new key; the row still has the bytes of an earlier key.

        Raises:
            MemoryError: If all `max_keys` slots are in use.
        """
        if self._free:
            slot = self._free.pop()
            self._keys[slot] = key
        elif len(self._keys) < self.max_keys:
            slot = len(self._keys)
            self._keys.append(key)
        else:
            raise MemoryError(f"All {self.max_keys} rows of the slab are in use.")
        self.owner[slot] = owner
        self.dirty[slot] = self.migrated[slot] = False
        self.last_used[slot] = self.step_number
        self.rules[slot] = 0
        return slot

    def extend(self, keys: Sequence[bytes], owner: int) -> slice | None:
        """Return never used slots for new keys, one after the other; None: there are too few."""
        begin, end = len(self._keys), len(self._keys) + len(keys)
        if end > self.max_keys:
            return None
        self._keys += keys
        slots = slice(begin, end)
        self.owner[slots] = owner
        self.dirty[slots] = self.migrated[slots] = False
        self.last_used[slots] = self.step_number
        self.rules[slots] = 0
        return slots

    def free(self, slot: int) -> None:
        """Give a slot back."""
        self._keys[slot] = None
        self.owner[slot] = -1
        self.dirty[slot] = self.migrated[slot] = False
        self._free.append(slot)

    def key(self, slot: int) -> bytes:
        """Return the key of a slot in use."""
        key = self._keys[slot]
        assert key is not None
        return key

    def keys(self, slots: NDArray[np.int64]) -> list[bytes]:
        """Return the keys of slots in use, `(n,)`."""
        return cast("list[bytes]", list(map(self._keys.__getitem__, slots.tolist())))

    def dirty_count(self) -> int:
        """Return the number of rows, of all partitions, that changed since they were last taken."""
        return int(np.count_nonzero(self.dirty[: self.high]))

    def dirty_slots(self, owner: int) -> NDArray[np.int64]:
        """Return the slots of a partition whose rows changed since they were last taken."""
        n = self.high
        return np.flatnonzero(self.dirty[:n] & (self.owner[:n] == owner))

    def mark_migrated_dirty(self, owner: int) -> None:
        """Mark the migrated rows of a partition dirty: they are to be written to the changelog."""
        n = self.high
        migrated = self.migrated[:n] & (self.owner[:n] == owner)
        self.dirty[:n] |= migrated
        self.migrated[:n] &= ~migrated

    def slots_of(self, owner: int) -> NDArray[np.int64]:
        """Return all slots of a partition."""
        return np.flatnonzero(self.owner[: self.high] == owner)


def _reserve(rows: int, nbytes: int) -> Bytes2D:
    """Reserve zeroed memory that is not committed before use, whatever the overcommit mode."""
    size = rows * nbytes
    # MAP_NORESERVE has no name in Python before 3.13; its number is that of Linux.
    flags = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    flags |= getattr(mmap, "MAP_NORESERVE", 0x4000 if hasattr(mmap, "MAP_POPULATE") else 0)
    try:
        block = mmap.mmap(-1, size, flags=flags)
    except (OSError, TypeError, ValueError):
        return np.zeros((rows, nbytes), dtype=np.uint8)
    return np.frombuffer(block, dtype=np.uint8).reshape(rows, nbytes)
