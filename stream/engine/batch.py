"""Tables of one step: the samples, column by column, and the rows of their keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.records import Event

from .rows import Samples
from .slices import PartitionSlice


@dataclass
class KeyRows:
    """State rows of `K` keys, copied out of the slab to be worked on.

    Attributes:
        topic: Name of the stream in events, usually the input topic.
        slots: Slot of each row in the slab, rising in a batch; int64 `(K,)`.
        block: The rows; uint8 `(K, nbytes)`.
        fields: Views into `block` by the name of the field, each `(K, ...)`.
        rules: Number of the rules of each, `(K,)`; None: none has any.
    """

    topic: str
    slots: NDArray[np.int64]
    block: NDArray[np.uint8]
    fields: dict[str, Any]
    rules: NDArray[np.int64] | None = None


def copies_of(
    fields: dict[str, Any], names: Iterable[str], index: NDArray[np.int64] | None
) -> dict[str, Any]:
    """Return contiguous arrays of some fields of keys.

    Args:
        fields: All fields, `(K, ...)` each.
        names: Names of those to return.
        index: Keys to return, `(n,)`; None: all of them, which copies faster. Of a single one the
            arrays are views.
    """
    if index is None:
        return {name: np.ascontiguousarray(fields[name]) for name in names}
    return {name: fields[name][index] for name in names}


@dataclass
class IdleKey:
    """One idle time of a key.

    Attributes:
        line: Line of the batch whose clock passes the deadline; -1: an earlier batch, or emitted.
        deadline_us: Clock beyond which the key counts as idle.
        return_line: Line with which the key returns; the number of lines: not in this batch.
    """

    line: int
    deadline_us: int
    return_line: int


class DueResolve(NamedTuple):
    """Resolve of an open episode that planned work ends.

    Attributes:
        line: Line that completes the first quiet row of the key.
        time_us: Time of that row.
        names: Calendars that keep it quiet, as events list them.
    """

    line: int
    time_us: int
    names: tuple[str, ...]


class PlacedEvent(NamedTuple):
    """An event and its place in the order of a step.

    Attributes:
        line: Line of the batch that brings the event about.
        rank: Order among the events of one line.
        event: The event.
    """

    line: int
    rank: int
    event: Event


@dataclass
class StepBatch:
    """Samples of a step as a table: a line per sample, `n` lines in order of arrival.

    `Stepper._assemble` makes the table; later stages fill `outcome`, `idle_after_us`, `idle` and
    `events`, and write to the fields of `keys`.

    Attributes:
        keys: State rows of the `K` keys that have a line here.
        slices: Lines of each partition; partitions follow each other.
        step_slots: Slot of every sample of the step, -1 where it has none. These rows must stay in
            memory, also those that are not in this table. int64 `(N,)`.
        sample: Index of the sample in the slice; int64 `(n,)`.
        message: Index of its message in the slice; int32 `(n,)`.
        offset: Offset of its message; int64 `(n,)`.
        time_us: Event time; int64 `(n,)`.
        clock_us: Clock of its partition after the sample, never falling within a partition;
            int64 `(n,)`.
        values: Channel values, NaN where one is missing; float64 `(n, C)`.
        row: Index in `keys` of the key that the sample belongs to; int64 `(n,)`.
        new_lines: Lines that their key has not absorbed before a crash; int64 `(f,)`.
        without_events: True where a sample only warms its key up: no episode opens, and no
            anomaly or idle key is reported; bool `(n,)`.
        outcome: Code of `outcomes`; uint8 `(n,)`.
        idle_after_us: Clock beyond which the key is idle if it sends nothing more, -2**62 where
            the sample is late or repeated; int64 `(n,)`.
        temporality: Kind of each sample, where the format tells counters; uint8 `(n,)`.
        start_us: Start of the time that each covers, where the format tells; int64 `(n,)`.
        idle: Idle times by row of `keys`, in order.
        silent: Slots of keys that are idle with an interval open, which is closed first, and their
            idle time.
        planned: True for samples under planned work, where these are rows; bool `(n,)`.
        due_resolves: Open episodes that planned work ends, by row of `keys`.
        events: Events so far, in no order.
    """

    keys: KeyRows
    slices: list[PartitionSlice]
    step_slots: NDArray[np.int64]
    sample: NDArray[np.int64]
    message: NDArray[np.int32]
    offset: NDArray[np.int64]
    time_us: NDArray[np.int64]
    clock_us: NDArray[np.int64]
    values: NDArray[np.float64]
    row: NDArray[np.int64]
    new_lines: NDArray[np.int64]
    without_events: NDArray[np.bool_]
    outcome: NDArray[np.uint8]
    idle_after_us: NDArray[np.int64]
    temporality: NDArray[np.uint8] | None = None
    start_us: NDArray[np.int64] | None = None
    idle: dict[int, list[IdleKey]] = field(default_factory=dict)
    silent: list[tuple[int, IdleKey]] = field(default_factory=list)
    planned: NDArray[np.bool_] | None = None
    due_resolves: dict[int, DueResolve] = field(default_factory=dict)
    events: list[PlacedEvent] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sample)

    def with_keys(self, keys: KeyRows, idle: dict[int, list[IdleKey]]) -> StepBatch:
        """Return the same lines and events beside the state rows of other keys."""
        return replace(self, keys=keys, idle=idle, silent=[], due_resolves={})

    @property
    def samples(self) -> Samples:
        """The samples, as rows are made of them."""
        return Samples(
            self.keys.fields,
            self.new_lines,
            self.row,
            self.time_us,
            self.values,
            self.temporality,
            self.start_us,
            self.planned,
        )
