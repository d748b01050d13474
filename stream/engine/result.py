"""Input and result of a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import repeat
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import tail_probability
from stream.records import Event, Rejected

from .detailed_scores import DetailedScores

# Columns without rows: nothing can be written to them.
_I8, _I1 = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8)
_F4, _NO = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=bool)


class SliceOffsets(NamedTuple):
    """Offsets and Kafka timestamps of the messages of one slice, the input of a step.

    A slice has messages of one or several partitions, one partition after the other; offsets rise
    within each. Both arrays are of shape `(m,)`.
    """

    offsets: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]


@dataclass
class ScoreColumns:
    """Scored rows of a step in arrival order; each of shape `(n,)`."""

    sample: NDArray[np.int64]
    """Index of the sample that completed the row: of its key, but for the rows in `silent`."""
    time_us: NDArray[np.int64]
    score: NDArray[np.float32]
    severity: NDArray[np.float32]
    evidence: NDArray[np.float32]
    anomaly: NDArray[np.bool_]
    trigger: NDArray[np.int8]
    """1 fires, -1 resolves, 0 neither."""
    firing: NDArray[np.bool_]
    """True from the row that fires to the one that resolves, inclusive."""
    silent: dict[int, bytes] = field(default_factory=dict)
    """Keys of rows that a silence completed, by number of the row: the sample is of another key."""

    @property
    def probability(self) -> NDArray[np.float64]:
        """Tail probability of each row for its key."""
        return tail_probability(self.severity)  # type: ignore[no-any-return]

    def and_then(self, more: ScoreColumns) -> ScoreColumns:
        """Return these rows, followed by others."""
        if not self.sample.size:
            return more
        names = [column.name for column in fields(self) if column.name != "silent"]
        n = self.sample.size
        silent = self.silent | {n + row: key for row, key in more.silent.items()}
        columns = {
            name: np.concatenate([getattr(self, name), getattr(more, name)]) for name in names
        }
        return ScoreColumns(**columns, silent=silent)

    def in_order(self) -> ScoreColumns:
        """Return the rows in the order of the samples that completed them."""
        return self.take(np.argsort(self.sample, kind="stable"))

    def take(self, order: NDArray[np.int64]) -> ScoreColumns:
        """Return all rows in another order.

        Args:
            order: Their indices, each once, `(n,)`.
        """
        names = [column.name for column in fields(self) if column.name != "silent"]
        columns = {name: getattr(self, name)[order] for name in names}
        position = {row: i for i, row in enumerate(order.tolist())}
        silent = {position[row]: key for row, key in self.silent.items()}
        return ScoreColumns(**columns, silent=silent)

    def keys(self, of_samples: Sequence[bytes]) -> list[bytes]:
        """Return the key of each row.

        Args:
            of_samples: Key of each sample of the slice.
        """
        keys = [of_samples[sample] for sample in self.sample.tolist()]
        for row, key in self.silent.items():
            keys[row] = key
        return keys

    @classmethod
    def empty(cls) -> ScoreColumns:
        """Return columns without rows."""
        return cls(_I8, _I8, _F4, _F4, _F4, _NO, _I1, _NO)


@dataclass
class StepResult:
    """Result of one step.

    Attributes:
        events: Anomalies and triggers, in arrival order.
        sources: Message that caused each event, by index in the slice.
        rejected: Messages to set aside: the codec's and the engine's own.
        counts: Messages by outcome, this step only.
        scores: Scored rows.
        details: Scored rows of keys that are asked for, in detail; one entry a model.
        late: Messages with a late sample, by index in the slice.
        missing: Channel values carried forward or set to their mean.
        missing_by_channel: The same by channel, of those that lack a value.
        gone: Keys and channels of theirs that have stopped coming.
        bad_values: Values that could not be used, by channel and reason.
        planned: Rows under planned work.
        in_grace: Rows in the grace after it.
    """

    events: list[Event] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    scores: ScoreColumns = field(default_factory=ScoreColumns.empty)
    details: list[DetailedScores] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    missing: int = 0
    missing_by_channel: dict[str, int] = field(default_factory=dict)
    gone: list[tuple[bytes, str]] = field(default_factory=list)
    bad_values: dict[tuple[str, str], int] = field(default_factory=dict)
    planned: int = 0
    in_grace: int = 0

    def count_missing(self, channels: Sequence[str], values: NDArray[np.float64]) -> None:
        """Count the missing values of completed rows, `(R, C)`, by channel."""
        is_missing = np.isnan(values)
        if not is_missing.any():  # the usual case
            return
        counts = is_missing.sum(axis=0)
        self.missing += int(counts.sum())
        for i in np.flatnonzero(counts).tolist():
            count = self.missing_by_channel.get(channels[i], 0)
            self.missing_by_channel[channels[i]] = count + int(counts[i])

    def with_joined_details(self) -> StepResult:
        """Return this result with the details of its batches, all of one model, in one."""
        if self.details:
            self.details = [DetailedScores.joined(self.details)]
        return self


class RowsTaken(Sequence[bytes | None]):
    """Tombstones, rows and a meta row, in this order, over one block of memory.

    A row becomes bytes only when it is asked for: while many are taken, the stream stands still.

    Args:
        tombstones: Number of tombstones.
        block: The rows, `(n, nbytes)`; a copy that nobody else writes to.
        meta: The meta row.
    """

    def __init__(self, tombstones: int, block: NDArray[np.uint8], meta: bytes) -> None:
        self._tombstones, self._block, self._meta = tombstones, block, meta

    def __len__(self) -> int:
        return self._tombstones + len(self._block) + 1

    def __iter__(self) -> Iterator[bytes | None]:
        yield from repeat(None, self._tombstones)
        yield from (row.tobytes() for row in self._block)
        yield self._meta

    @overload
    def __getitem__(self, index: int) -> bytes | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes | None]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes | None] | None:
        position = range(len(self))[index]  # resolves slices and negative indices
        if isinstance(position, range):
            return [self[i] for i in position]
        row = position - self._tombstones
        if row < 0:
            return None
        return self._block[row].tobytes() if row < len(self._block) else self._meta


class DirtyRows(NamedTuple):
    """A copy of changed rows; a None row is a tombstone. The last entry is the meta row."""

    keys: list[bytes]
    rows: Sequence[bytes | None]


class Moved(NamedTuple):
    """Rows moved so far.

    Attributes:
        evicted: Rows moved out of memory, to the disk.
        returned: Rows restored from the disk.
        forgotten: Rows lost because the disk had no room.
        expired: Rows whose keys were idle for longer than the time to live.
    """

    evicted: int
    returned: int
    forgotten: int
    expired: int
