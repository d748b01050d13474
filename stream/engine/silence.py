"""Keys that fall silent with an interval open: it is closed before their silence is told.

A key's own time closes no interval when the key sends nothing more. So the clock of its partition
does, at the line that shows the key idle. What the key sends later belongs to later intervals, so
that it must be added after that: a step is cut into batches within which no idle key returns. As
everything about idle keys, that depends on the order of the partition's log and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import PackedRows
from stream.engine.state.deadlines import NEVER_IDLE
from stream.engine.state.layout import NEVER
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store

from .admission import Admitted
from .batch import KeyRows, StepBatch
from .rows import CompletedRows, RowMaker
from .slices import PartitionSlice
from .windows import Tumbling

Indices = NDArray[np.int64]


class SilentKeys:
    """Closes the intervals of keys that fall silent; there is none without intervals.

    Args:
        store: Rows of all keys.
        rows: Maker of rows.
        tumbling: Its intervals.
        warm_rows: Rows after which a key that the bundle does not know may be idle.
    """

    def __init__(self, store: Store, rows: RowMaker, tumbling: Tumbling, warm_rows: int) -> None:
        self._store, self._rows, self._tumbling = store, rows, tumbling
        self._warm_rows = warm_rows

    def batches(
        self, admitted: Admitted, slices: Sequence[PartitionSlice]
    ) -> Iterator[list[PartitionSlice]]:
        """Cut a batch where keys return that are idle by then.

        Args:
            admitted: The samples of the step.
            slices: Ranges of `admitted.sample`, at most one of each partition.

        Yields:
            The next range of every partition that has one. They have to be absorbed before the
            next ones are asked for.
        """
        ranges = [self._ranges(admitted, *range_slice) for range_slice in slices]
        for next_ranges in zip_longest(*ranges):
            yield [range_slice for range_slice in next_ranges if range_slice is not None]

    def _ranges(
        self, admitted: Admitted, part: Partition, begin: int, end: int
    ) -> Iterator[PartitionSlice]:
        while begin < end:
            stop = begin + self._first_return(admitted, part, begin, end)
            yield PartitionSlice(part, begin, stop)
            begin = stop

    def _first_return(self, admitted: Admitted, part: Partition, begin: int, end: int) -> int:
        """Return the number of samples before the message in which an idle key returns."""
        sample = admitted.sample[begin:end]
        slots, row = np.unique(admitted.slots[sample], return_inverse=True)
        message = admitted.decoded.message[sample]
        end, ripens = self._before_warm(slots, row, message)
        sample, row, message = sample[:end], row[:end], message[:end]
        clock_us = np.maximum(admitted.clock_us[sample], part.meta.clock_us)
        np.maximum.accumulate(clock_us, out=clock_us)
        fields = {
            name: self._store.fields[name][slots]
            for name in ("rows", "known", "interval", "seen", "stale", "offset", "max_time")
        }
        wait_us = self._shortest_wait(fields, ripens)
        stored_us = fields["seen"] + np.minimum(wait_us, 2**60)
        stored_us[(fields["seen"] == NEVER) | (fields["stale"] > 0)] = NEVER_IDLE
        stored_us[wait_us == NEVER_IDLE] = NEVER_IDLE
        is_near = stored_us < clock_us[-1]
        is_near |= wait_us < clock_us[-1] - clock_us[0]
        if not is_near.any():  # the usual case
            return end
        line = np.flatnonzero(
            is_near[row] & (admitted.slice_offsets.offsets[message] > fields["offset"][row])
        )
        if not line.size:
            return end
        packed, key, order = PackedRows.of(row[line])
        line, time_us = line[order], admitted.decoded.time_us[sample[line[order]]]
        accepted = ~self._tumbling.late(packed, fields["max_time"][key], time_us)
        line, key_row = line[accepted], packed.expand(key)[accepted]
        order = np.lexsort((line, key_row))
        line, key_row = line[order], key_row[order]
        # Deadline of the key before each of its lines: by the line before it, or as stored.
        deadline_us = stored_us[key_row]
        follows = np.flatnonzero(key_row[1:] == key_row[:-1]) + 1
        own_us = np.minimum(wait_us[key_row[follows]], 2**60)
        own_us = own_us + clock_us[line[follows - 1]]
        never = wait_us[key_row[follows]] == NEVER_IDLE
        deadline_us[follows] = np.where(never, NEVER_IDLE, own_us)
        passing = np.searchsorted(clock_us, deadline_us, side="right")
        # A message is absorbed whole: a key that returns in the message itself keeps its interval.
        returns = passing < line
        returns[returns] = message[passing[returns]] < message[line[returns]]
        if not returns.any():
            return end
        first = int(message[line[returns]].min())
        return int(np.searchsorted(message, first, side="left"))

    def _before_warm(
        self, slots: Indices, row: Indices, message: NDArray[np.int32]
    ) -> tuple[int, NDArray[np.bool_]]:
        """Return how many samples leave all keys as warm as they are, and the keys that ripen.

        While a key warms up, its usual interval changes, so that its deadlines are not known
        before its rows are. Few keys ripen: those whose first message here may make them warm.

        Args:
            slots: Slots of the keys, `(K,)`.
            row: Key of each sample, `(n,)`.
            message: Message of each sample, `(n,)`.
        """
        rows, known = (self._store.fields[name][slots] for name in ("rows", "known"))
        # A sample completes at most one row, besides the intervals that are open already.
        room = self._warm_rows - rows - self._tumbling.spec.open_windows - 1
        warming = (known == 0) & (rows < self._warm_rows)
        ripens = warming & (room <= 0)
        waiting = np.flatnonzero(warming[row] & ~ripens[row])
        if not waiting.size or waiting.size < room[row[waiting]].min():
            return row.size, ripens
        waiting = waiting[np.argsort(row[waiting], kind="stable")]
        owner = row[waiting]
        number = np.arange(owner.size) - np.searchsorted(owner, owner)
        ripe = waiting[number >= room[owner]]
        at_once = message[ripe] == message[0]
        ripens[row[ripe[at_once]]] = True
        later = message[ripe[~at_once]]
        end = int(np.searchsorted(message, later.min())) if later.size else row.size
        return end, ripens

    def _shortest_wait(self, fields: dict[str, NDArray[Any]], ripens: NDArray[np.bool_]) -> Indices:
        """Return the time after which each key is idle at the earliest, or `NEVER_IDLE`.

        Args:
            fields: Fields of the keys, `(K,)` each.
            ripens: True for keys that may become warm, `(K,)`.
        """
        zero = np.zeros(ripens.size, dtype=np.int64)
        many_rows = np.full(ripens.size, 2**40)  # rows: as if all keys were warm
        known_field: NDArray[Any] = fields["known"]
        wait_us = self._store.deadlines.idle_after(fields["interval"], many_rows, known_field, zero)
        warming = (known_field == 0) & (fields["rows"] < self._warm_rows)
        return np.where(warming, np.where(ripens, 0, NEVER_IDLE), wait_us)

    def close(self, batch: StepBatch) -> tuple[StepBatch, CompletedRows]:
        """Close the open intervals of the keys that the batch shows silent.

        Args:
            batch: The batch, all written back.

        Returns:
            The same lines with the state rows of these keys, which go on with it, and their rows.
        """
        # By key: slots depend on what else the worker has seen.
        silent = sorted(batch.silent, key=lambda entry: self._store.slab.key(entry[0]))
        slots = np.array([slot for slot, _ in silent], dtype=np.int64)
        block = self._store.gather(slots)
        keys = KeyRows(batch.keys.topic, slots, block, self._store.layout.views(block))
        closed = self._tumbling.close({name: keys.fields[name] for name in self._tumbling.fields})
        line = np.array([idle.line for _, idle in silent], dtype=np.int64)
        rows = self._rows.rows_of(closed, np.arange(slots.size), line[closed.key])
        return batch.with_keys(keys, {row: [idle] for row, (_, idle) in enumerate(silent)}), rows
