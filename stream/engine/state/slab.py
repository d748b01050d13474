"""State of all keys: one contiguous slab of rows, and which slot belongs to which key."""

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
        self.adopted = np.zeros(max_keys, dtype=bool)  # dirty once its partition is processed
        self.touched = np.zeros(max_keys, dtype=np.int64)  # step that last needed the row
        self.tick = 0
        self.owner = np.full(max_keys, -1, dtype=np.int32)  # number of the partition; -1 free
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
        """True when there is no slot left."""
        return not self._free and len(self._keys) >= self.max_keys

    def allocate(self, key: bytes, owner: int) -> int:
        """Slot for a new key; the row holds what was there before.

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
        self.dirty[slot] = self.adopted[slot] = False
        self.touched[slot] = self.tick
        return slot

    def extend(self, keys: Sequence[bytes], owner: int) -> slice | None:
        """Slots in a row for new keys, all of them never used before; None: there are too few."""
        begin, end = len(self._keys), len(self._keys) + len(keys)
        if end > self.max_keys:
            return None
        self._keys += keys
        slots = slice(begin, end)
        self.owner[slots] = owner
        self.dirty[slots] = self.adopted[slots] = False
        self.touched[slots] = self.tick
        return slots

    def free(self, slot: int) -> None:
        """Give a slot back."""
        self._keys[slot] = None
        self.owner[slot] = -1
        self.dirty[slot] = self.adopted[slot] = False
        self._free.append(slot)

    def key(self, slot: int) -> bytes:
        """Key of a slot in use."""
        key = self._keys[slot]
        assert key is not None
        return key

    def keys(self, slots: NDArray[np.int64]) -> list[bytes]:
        """Keys of slots in use, `(n,)`."""
        return cast("list[bytes]", list(map(self._keys.__getitem__, slots.tolist())))

    def dirty_count(self) -> int:
        """Rows of all partitions that have changed since they were last taken."""
        return int(np.count_nonzero(self.dirty[: self.high]))

    def dirty_slots(self, owner: int) -> NDArray[np.int64]:
        """Slots of a partition whose rows have changed since they were last taken."""
        n = self.high
        return np.flatnonzero(self.dirty[:n] & (self.owner[:n] == owner))

    def write_adopted(self, owner: int) -> None:
        """Mark rows of a partition dirty that were made of rows of another layout or model."""
        n = self.high
        mine = self.adopted[:n] & (self.owner[:n] == owner)
        self.dirty[:n] |= mine
        self.adopted[:n] &= ~mine

    def slots_of(self, owner: int) -> NDArray[np.int64]:
        """All slots of a partition."""
        return np.flatnonzero(self.owner[: self.high] == owner)


def _reserve(rows: int, nbytes: int) -> Bytes2D:
    """Zeroed memory that is not committed before use, also where overcommit is heuristic."""
    size = rows * nbytes
    flags = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    flags |= getattr(mmap, "MAP_NORESERVE", 0x4000 if hasattr(mmap, "MAP_POPULATE") else 0)
    try:
        block = mmap.mmap(-1, size, flags=flags)
    except (OSError, TypeError, ValueError):
        return np.zeros((rows, nbytes), dtype=np.uint8)
    return np.frombuffer(block, dtype=np.uint8).reshape(rows, nbytes)
