"""Keys whose present is usual from a row on, because an operator says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from ember_core.pipeline.present import take_present
from stream.control import ControlSet, Feedback
from stream.engine.state.partition import Partition
from stream.engine.state.table import Store
from stream.event_times import parse_time
from stream.keys import key_of

from .batch import StepBatch
from .slices import PartitionSlice

if TYPE_CHECKING:
    from .admission import Admitted
    from .episodes import Episodes

FIELD = "normal_now"
BAND = "band"


class NormalNow:
    """Feedback `normal-now` in force.

    Each counts once for a key: with its first message from the time of the event on. The key's row
    remembers the latest.

    Args:
        control: Documents of operators.
        store: Rows of all keys.
        episodes: Events.
    """

    def __init__(self, control: ControlSet, store: Store, episodes: Episodes) -> None:
        self._store, self._episodes = store, episodes
        times: dict[tuple[str, bytes], set[int]] = {}
        for document in control.documents:
            body = document.body
            if isinstance(body, Feedback) and body.verdict == "normal-now":
                key = body.topic, key_of(body.key)
                times.setdefault(key, set()).add(parse_time(body.time))
        self._times = {key: sorted(found) for key, found in times.items()}

    def batches(
        self, admitted: Admitted, slices: Sequence[PartitionSlice]
    ) -> Iterator[list[PartitionSlice]]:
        """Cut a batch before the messages with which feedback counts.

        Args:
            admitted: The samples of the step.
            slices: Ranges of `admitted.sample`, at most one of each partition.

        Yields:
            The next range of every partition that has one; each has to be absorbed before the next
            ones are asked for.
        """
        if not self._times or FIELD not in self._store.fields:
            yield list(slices)
            return
        ranges = [self._ranges(admitted, *range_slice) for range_slice in slices]
        for next_ranges in zip_longest(*ranges):
            yield [range_slice for range_slice in next_ranges if range_slice is not None]

    def _ranges(
        self, admitted: Admitted, part: Partition, begin: int, end: int
    ) -> Iterator[PartitionSlice]:
        while begin < end:
            stop = self._first_due(admitted, part, begin, end)
            yield PartitionSlice(part, begin, stop)
            begin = stop

    def _first_due(self, admitted: Admitted, part: Partition, begin: int, end: int) -> int:
        """Return the end of the samples before the next message with which feedback counts."""
        sample = admitted.sample[begin:end]
        message = admitted.decoded.message[sample]
        for slot, times in self._pending([part]):
            applied = int(self._store.fields[FIELD][slot])
            due = next(time for time in times if time > applied)
            rows = np.flatnonzero(admitted.slots[sample] == slot)
            late = rows[admitted.decoded.time_us[sample[rows]] >= due]
            if late.size:
                first = int(np.searchsorted(message, message[late[0]], side="left"))
                if first > 0:
                    end = min(end, begin + first)
        return end

    def _pending(self, parts: Iterable[Partition]) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield the slots of keys in memory that feedback still has to count for, and its times."""
        for part in parts:
            for (topic, key), times in self._times.items():
                slot = part.index.get(key) if topic == part.stream else None
                if slot is not None and times[-1] > self._store.fields[FIELD][slot]:
                    yield slot, times

    def apply(self, batch: StepBatch) -> None:
        """Take the present of keys as usual whose feedback counts with their first line here."""
        if not self._times or FIELD not in batch.keys.fields:
            return
        fields = batch.keys.fields
        slots = batch.keys.slots
        for slot, times in self._pending(part for part, _, _ in batch.slices):
            row = int(np.searchsorted(slots, slot))
            if row == slots.size or slots[row] != slot:
                continue
            lines = batch.new_lines[batch.row[batch.new_lines] == row]
            if not lines.size:
                continue
            first = lines[batch.message[lines] == batch.message[lines[0]]]
            time_us = int(batch.time_us[first].max())
            applied = int(fields[FIELD][row])
            due = [time for time in times if applied < time <= time_us]
            if due:
                fields[FIELD][row] = due[-1]
                self._take(batch, row, int(lines[0]), time_us)

    def _take(self, batch: StepBatch, row: int, line: int, time_us: int) -> None:
        fields, pipeline = batch.keys.fields, self._episodes.pipeline
        if fields["rows"][row] == 0 or (
            not fields["known"][row] and fields["rows"][row] <= pipeline.config.warmup_alarm
        ):
            return  # it still learns the usual values
        self._episodes.emit_normal_now(batch, row, line, time_us)
        names = [field.name for field in pipeline.state_fields()]
        state = {name: fields[name][row : row + 1].copy() for name in names}
        for name, value in take_present(pipeline, state, np.array([time_us])).items():
            fields[name][row] = value[0]
        if BAND in fields:  # a bound that a fault has moved out goes back slowly
            key = self._store.slab.key(int(batch.keys.slots[row]))
            initial_row = self._store.initial_row(key)[None]
            fields[BAND][row] = self._store.layout.views(initial_row)[BAND][0]
