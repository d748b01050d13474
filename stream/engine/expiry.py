"""Keys that are forgotten: silent for `ttl` by the clock of their partition.

Whether a key is forgotten at its next message follows from the log alone: the partition's clock
after that message, against the clock when the key was last heard. So a batch is taken in pieces
within which no key can be forgotten between two of its own samples, and a forgotten key's row is
made new before its piece. Rows of keys that do not come back are given up in a sweep now and then;
when that is, changes no result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.records import Event

from .decide import Decider
from .windows import NEVER

_SWEEPS = 32
"""Sweeps in the time a key is kept."""
_NO_SLOTS = np.zeros(0, dtype=np.int64)


class Piece(NamedTuple):
    """Samples `begin` to `end` of a batch, and what has to be said before them."""

    begin: int
    end: int
    events: list[Event]


class Expiry:
    """Forgets the keys of a store.

    Args:
        store: The rows.
        decider: Says what becomes of a forgotten key's open alerts.
        ttl_us: Silence after which a key is forgotten, microseconds; 0: never.
    """

    def __init__(self, store: Store, decider: Decider, ttl_us: int) -> None:
        self._store, self._decider, self._ttl_us = store, decider, ttl_us

    def pieces(
        self,
        part: Partition,
        times: NDArray[np.int64],
        message: NDArray[np.int32],
        slots: NDArray[np.int64],
    ) -> Iterator[Piece]:
        """Cut a batch, and make rows new that are forgotten, piece by piece.

        Args:
            part: The partition.
            times: What the samples kept tell the clock, shape `(n,)` like the others.
            message: Their messages, never falling.
            slots: Their keys' slots.

        Yields:
            Pieces, to be absorbed before the next one is asked for.
        """
        n, ttl = len(times), self._ttl_us
        if not ttl or not n:
            if n:
                yield Piece(0, n, [])
            return
        clock = np.maximum.accumulate(np.maximum(times, part.meta.clock_us))
        after = clock[np.searchsorted(message, message, side="right") - 1]  # the whole message
        begin = 0
        while begin < n:
            far = (after[begin:] - clock[begin] > ttl) & (message[begin:] != message[begin])
            end = begin + int(far.argmax()) if far.any() else n
            held = slots[begin:end]
            over = self._over(held, after[begin:end])
            keys, first, inverse = np.unique(held, return_index=True, return_inverse=True)
            mixed = over & ~over[first][inverse]  # heard in this piece, but then only late
            if mixed.any():
                at = begin + int(mixed.argmax())
                end = int(np.searchsorted(message, message[at], side="left"))
            gone = keys[over[first] & (first < end - begin)]
            events = self._say(part, gone)
            self._store.renew(gone)
            self._store.overflow.expired += gone.size
            yield Piece(begin, end, events)
            begin = end

    def sweep(self, part: Partition) -> list[Event]:
        """Give up the rows of keys that have been silent for too long; they leave tombstones.

        Only rows that are written out: then the records a crash would have absorbed again hold
        nothing of these keys.

        Returns:
            What has to be said of them.
        """
        clock, store = part.meta.clock_us, self._store
        if not self._ttl_us or clock <= part.next_expiry:
            return []
        part.next_expiry = clock + max(self._ttl_us // _SWEEPS, 1)
        if part.spill is not None:
            away = [*part.overdue, *part.spill.due(clock)]
            part.overdue = store.overflow.restore(part, away, _NO_SLOTS)
        slots = store.slab.slots_of(part.number)
        now = np.full(slots.size, clock, dtype=np.int64)
        gone = slots[self._over(slots, now) & ~store.slab.dirty[slots]]
        events = self._say(part, gone)
        keys = store.slab.keys(gone)
        for key in keys:
            store.slab.free(part.index.pop(key))
        if part.spill is not None:
            part.spill.remove(keys)  # copies that were left there
        part.tombstones.update(dict.fromkeys(keys))
        store.overflow.expired += len(keys)
        return events

    def _over(self, slots: NDArray[np.int64], clock: NDArray[np.int64]) -> NDArray[np.bool_]:
        seen = self._store.seen(slots)
        return (seen > NEVER) & (clock - seen > self._ttl_us)

    def _say(self, part: Partition, gone: NDArray[np.int64]) -> list[Event]:
        ends = (self._store.seen(gone) + self._ttl_us).tolist()
        found: list[Event] = []
        for slot, end in zip(gone.tolist(), ends, strict=True):
            found += self._decider.forget(part, slot, end)
        return found
