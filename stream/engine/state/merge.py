"""Changelog rows on their way into a store: each is classified, then handled by its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import numpy as np

from .layout import LAYOUT_VERSION
from .migration import HEAD_BYTES, offset_in
from .partition import ALWAYS, Partition
from .snapshot import RowBlock
from .spill import Spilled
from .table import Store
from .tombstones import Tombstone

Value = bytes | Tombstone | None
"""A row, or a tombstone; `Tombstone` says up to which offset it holds."""
_NO_SLOTS = np.zeros(0, dtype=np.int64)
_NO_OFFSET = -(2**63)


class LoadReport(NamedTuple):
    """Number of changelog rows by what the load made of them.

    Attributes:
        accepted: Rows taken in.
        stale: Rows older than the store's.
        damaged: Keys of damaged rows, and the reasons.
    """

    accepted: int
    stale: int
    damaged: list[tuple[bytes, str]]


RowKind = Literal["outdated", "tombstone", "damaged", "unmigrated", "current"]
"""Kind of a changelog row, by its key's state in the store.

- `outdated`: the store has a newer row, or a tombstone that covers this one;
- `tombstone`: the key is forgotten;
- `damaged`: too short for a row;
- `unmigrated`: of another layout or model;
- `current`: of this layout and model.
"""


class RowMerger:
    """Takes changelog rows into a store; a row counts only if its source offset is not older.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._slab, self._evictor = store, store.slab, store.evictor
        self._offsets = store.fields["offset"]
        self._handlers: dict[RowKind, Callable[[Partition, bytes, Any], str]] = {
            "tombstone": self._forget,
            "damaged": self._forget_damaged,
            "unmigrated": _set_aside,
            "current": self._take,
        }

    def merge(self, part: Partition, rows: Iterable[tuple[bytes, Value]]) -> LoadReport:
        """Take rows in, in the order of the changelog.

        A `Tombstone` counts only if the store's row is not newer than its offset. A damaged row
        takes the older one of its key with it: half of a memory is worse than none.

        Args:
            part: The partition.
            rows: Keys and values.
        """
        accepted = stale = 0
        damaged: list[tuple[bytes, str]] = []
        self._slab.step_number += 1
        for key, value in rows:
            kind = self._classify(part, key, value)
            if kind == "outdated":
                stale += 1
            elif damage := self._handlers[kind](part, key, value):
                damaged.append((key, damage))
            else:
                accepted += 1
        self._store.unmigrated.spill_excess(part)
        part.next_idle_us = ALWAYS
        return LoadReport(accepted, stale, damaged)

    def _classify(self, part: Partition, key: bytes, value: Value) -> RowKind:
        """Return the kind of a row; a tombstone is remembered for the rows that follow it."""
        newest = self._newest_offset(part, key)
        tombstones = part.tombstone_index
        if isinstance(value, Tombstone):
            return "outdated" if tombstones.late(key, value, newest) else "tombstone"
        if key in tombstones and tombstones.late(key, value, newest):
            return "outdated"
        if value is None:
            return "tombstone"
        if len(value) < HEAD_BYTES:
            return "damaged"
        # An equal offset is taken: an idle key's row changes without a record of its own.
        if offset_in(value) < newest:
            return "outdated"
        return "current" if self._store.migrator.is_current(value) else "unmigrated"

    def _newest_offset(self, part: Partition, key: bytes) -> int:
        """Return the source offset of the store's newest row of a key, or the lowest integer."""
        slot = part.index.get(key)
        newest = _NO_OFFSET
        if slot is not None:
            newest = int(self._offsets[slot])
        elif part.spill is not None:  # a row in memory may have left an older copy there
            spilled = self._evictor.spilled(part, [key]).get(key)
            newest = _NO_OFFSET if spilled is None else offset_in(spilled)
        if key in part.unmigrated:
            return max(newest, offset_in(part.unmigrated[key]))
        return newest

    def _forget(self, part: Partition, key: bytes, _: Value) -> str:
        """Remove every copy of a key's row."""
        part.unmigrated.pop(key, None)
        part.given_up.pop(key, None)
        # Looked up first: to remove a row from a file on disk costs more than to look for it.
        if part.spill is not None and self._evictor.spilled(part, [key]):
            part.spill.remove([key])
        slot = part.index.pop(key, None)
        if slot is not None:
            self._slab.free(slot)
        return ""

    def _forget_damaged(self, part: Partition, key: bytes, row: bytes) -> str:
        """Remove every copy of the row of a key whose newest row is damaged."""
        self._forget(part, key, row)
        return f"{len(row)} bytes are no row"

    def _take(self, part: Partition, key: bytes, row: bytes) -> str:
        """Put a current row into memory, or into the spill where memory is full.

        Returns:
            Reason why there is no room; empty where there is.
        """
        part.tombstones.pop(key, None)  # the owner of the partition has written the key anew
        part.unmigrated.pop(key, None)
        part.given_up.pop(key, None)
        slab = self._slab
        slot = part.index.get(key)
        if slot is None:
            if slab.full():
                self._evictor.free_slots(1, _NO_SLOTS)
            if slab.full() and part.spill is not None:  # all rows in memory are dirty
                (due,) = self._store.due(np.frombuffer(row, dtype=np.uint8)[None])
                self._evictor.evict(part, [Spilled(key, row, due)])
                return ""
            if slab.full():
                return f"all {slab.max_keys} rows of state.max_keys are taken"
            slot = part.index[key] = slab.allocate(key, part.number)
        slab.rows[slot] = np.frombuffer(row, dtype=np.uint8)
        slab.migrated[slot] = False
        return ""

    def merge_block(self, part: Partition, block: RowBlock) -> LoadReport:
        """Take rows in as `merge` does; quickly where all of them are current and new."""
        store, (keys, rows) = self._store, block
        mark = np.frombuffer(store.model_mark.to_bytes(8, "little"), dtype=np.uint8)
        version = np.frombuffer(LAYOUT_VERSION.to_bytes(2, "little"), dtype=np.uint8)
        # Layout version and model mark lie in every row at the same bytes: see `HEAD_BYTES`.
        all_new = (
            rows.shape[1] == store.layout.nbytes
            and bool((rows[:, 8:16] == mark).all() and (rows[:, :2] == version).all())
            and not (part.unmigrated or part.tombstones)
            and not (part.spill is not None and len(part.spill))
            and part.index.keys().isdisjoint(keys)
            and len(set(keys)) == len(keys)
        )
        slots = store.slab.extend(keys, part.number) if all_new else None
        if slots is None:
            return self.merge(part, zip(keys, (row.tobytes() for row in rows), strict=True))
        store.slab.rows[slots] = rows
        part.index.update(zip(keys, range(slots.start, slots.stop), strict=True))
        part.next_idle_us = ALWAYS
        return LoadReport(len(keys), 0, [])


def _set_aside(part: Partition, key: bytes, row: bytes) -> str:
    """Keep a row of another layout or model until all of the changelog is read."""
    part.tombstones.pop(key, None)  # the owner of the partition has written the key anew
    part.given_up.pop(key, None)
    part.unmigrated.pop(key, None)  # so that the newest row is the last one
    part.unmigrated[key] = row
    return ""
