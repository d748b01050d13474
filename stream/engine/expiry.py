"""Expired keys: idle for `ttl` by the clock of their partition, and forgotten.

Whether a key has expired at its next message follows from the log alone: the partition's clock
after that message, against the clock when the key was last heard. So a slice is cut into batches
within which no key can expire between two of its own samples, and an expired key's row is made
new before its batch. Rows of keys that do not return are freed in a sweep now and then; the time
of a sweep changes no result.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.layout import NEVER
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.records import Event

from .admission import Admitted
from .episodes import Episodes
from .result import StepResult
from .slices import PartitionSlice

_SWEEPS = 32
"""Sweeps in the time a key is kept."""
_NO_SLOTS = np.zeros(0, dtype=np.int64)


class SampleRange(NamedTuple):
    """Samples `begin` to `end` of a partition, and events to emit before them."""

    begin: int
    end: int
    events: list[Event]


class Expiry:
    """Wrapper of a step that forgets expired keys; there is none where `ttl` is off.

    Args:
        store: Rows of all keys.
        episodes: Resolves the open alerts of an expired key.
        ttl_us: Idle time after which a key expires, microseconds.
    """

    def __init__(self, store: Store, episodes: Episodes, ttl_us: int) -> None:
        self._store, self._episodes, self._ttl_us = store, episodes, ttl_us

    def batches(self, admitted: Admitted, result: StepResult) -> Iterator[list[PartitionSlice]]:
        """Cut a step into batches, forget the expired keys before each, and sweep at the end.

        Args:
            admitted: The samples of the step.
            result: Result of the step; gets the events of expired keys.

        Yields:
            The next range of every partition that has one, as slices of `admitted.sample`. They
            have to be absorbed before the next ones are asked for.
        """
        slices, message = admitted.slices, admitted.decoded.message[admitted.sample]
        ranges = [
            self._ranges(
                part,
                admitted.clock_us[admitted.sample[begin:end]],
                message[begin:end],
                admitted.slots[admitted.sample[begin:end]],
            )
            for part, begin, end in slices
        ]
        for next_ranges in zip_longest(*ranges):
            batch_slices = []
            for (part, begin, _), samples in zip(slices, next_ranges, strict=True):
                if samples is not None:  # ranges count from the begin of their partition
                    first = begin + samples.begin
                    self._emit(part, admitted, int(message[first]), samples.events, result)
                    batch_slices.append(PartitionSlice(part, first, begin + samples.end))
            yield batch_slices
        for part, _, end in slices:
            self._emit(part, admitted, int(message[end - 1]), self._sweep(part), result)

    def sweep(self, part: Partition, admitted: Admitted, message: int, result: StepResult) -> None:
        """Free the rows of expired keys where the step has no sample of the store's keys.

        Args:
            part: The partition.
            admitted: The samples of the step.
            message: Message that has moved the clock last.
            result: Result of the step; gets the events of expired keys.
        """
        self._emit(part, admitted, message, self._sweep(part), result)

    def _emit(
        self,
        part: Partition,
        admitted: Admitted,
        message: int,
        events: list[Event],
        result: StepResult,
    ) -> None:
        """Emit events of expired keys, unless the message that shows them only warms keys up."""
        offsets, timestamps_ms = admitted.slice_offsets
        if events and part.meta.gives_events(offsets[message], timestamps_ms[message]):
            result.events += events
            result.sources += [message] * len(events)

    def _ranges(
        self,
        part: Partition,
        times: NDArray[np.int64],
        message: NDArray[np.int32],
        slots: NDArray[np.int64],
    ) -> Iterator[SampleRange]:
        """Cut the samples of a partition, and renew expired rows, one range at a time.

        Args:
            part: The partition.
            times: Times by which its samples move the clock; shape `(n,)` like the others.
            message: Message of each, never falling.
            slots: Slot of the key of each.
        """
        n, ttl_us = len(times), self._ttl_us
        clock_us = np.maximum.accumulate(np.maximum(times, part.meta.clock_us))
        # Clock after the whole message: its samples cannot be told apart by their offset.
        message_clock_us = clock_us[np.searchsorted(message, message, side="right") - 1]
        begin = 0
        while begin < n:
            beyond_ttl = message_clock_us[begin:] - clock_us[begin] > ttl_us
            beyond_ttl &= message[begin:] != message[begin]  # a range has at least one message
            end = begin + int(beyond_ttl.argmax()) if beyond_ttl.any() else n
            range_slots = slots[begin:end]
            expired = self._expired(range_slots, message_clock_us[begin:end])
            keys, first, inverse = np.unique(range_slots, return_index=True, return_inverse=True)
            # Expired at a later sample, not at the first: the first may be late, which renews
            # nothing. Such a key begins anew with a range of its own.
            expired_later = expired & ~expired[first][inverse]
            if expired_later.any():
                cut = begin + int(expired_later.argmax())
                end = int(np.searchsorted(message, message[cut], side="left"))
            expired_slots = keys[expired[first] & (first < end - begin)]
            events = self._resolve(part, expired_slots)
            self._store.renew(expired_slots)
            self._store.evictor.expired += expired_slots.size
            yield SampleRange(begin, end, events)
            begin = end

    def _sweep(self, part: Partition) -> list[Event]:
        """Free the rows of expired keys; they leave tombstones.

        Only rows that are written out: then the records that a crash would have absorbed again
        hold nothing of these keys.

        Returns:
            Events of the expired keys.
        """
        clock_us, store = part.meta.clock_us, self._store
        if clock_us <= part.next_expiry_us:
            return []
        part.next_expiry_us = clock_us + max(self._ttl_us // _SWEEPS, 1)
        if part.spill is not None:
            due_keys = [*part.idle_spilled, *part.spill.due(clock_us)]
            part.idle_spilled = store.evictor.restore(part, due_keys, _NO_SLOTS)
        slots = store.slab.slots_of(part.number)
        now_us = np.full(slots.size, clock_us, dtype=np.int64)
        expired_slots = slots[self._expired(slots, now_us) & ~store.slab.dirty[slots]]
        events = self._resolve(part, expired_slots)
        keys = store.slab.keys(expired_slots)
        for key in keys:
            store.slab.free(part.index.pop(key))
        if part.spill is not None:
            part.spill.remove(keys)  # copies that were left there
        part.tombstones.update(dict.fromkeys(keys))
        store.evictor.expired += len(keys)
        return events

    def _expired(self, slots: NDArray[np.int64], clock_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        seen_us = self._store.fields["seen"][slots]
        expired: NDArray[np.bool_] = (seen_us > NEVER) & (clock_us - seen_us > self._ttl_us)
        return expired

    def _resolve(self, part: Partition, slots: NDArray[np.int64]) -> list[Event]:
        """Resolve the open alerts of expired keys, each at the time it expired."""
        deadlines_us = (self._store.fields["seen"][slots] + self._ttl_us).tolist()
        events: list[Event] = []
        for slot, deadline_us in zip(slots.tolist(), deadlines_us, strict=True):
            events += self._episodes.resolve_expired(part, slot, deadline_us)
        return events
