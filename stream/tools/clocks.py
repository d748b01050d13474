"""`ember state clock`: clocks of partitions, and keys whose times lie ahead of this machine's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stream.engine import META_KEY, MetaRow, describe
from stream.engine.clock import CLOCK_SKEW_US
from stream.engine.state.layout import NEVER
from stream.engine.state.migration import mark_in, mark_of
from stream.kafka.protocol.checkpoint import COMMITTED_HEADER

from .state import PartitionState, StateLog

_TIMES = ("last_time", "seen", "stale_since", "episode_start", "max_time")
"""Fields of a row that hold a time of the key or of its partition."""


@dataclass
class PartitionClock:
    """Clock of one input partition, as of its last checkpoint.

    Attributes:
        topic: Input topic.
        state: State of the partition, with its rows.
        meta: Its meta row.
        latest_us: Time on this machine's clock beyond which a time is ahead.
        ahead: Keys with a time that is ahead.
        reset_us: Clock after a reset: the newest time that is not ahead.
    """

    topic: str
    state: PartitionState
    meta: MetaRow
    latest_us: int
    ahead: list[bytes] = field(default_factory=list)
    reset_us: int = 0

    @property
    def partition(self) -> int:
        """Number of the partition."""
        return self.state.partition

    @property
    def clock_us(self) -> int:
        """Largest event time of the partition."""
        return self.meta.clock_us

    @property
    def is_ahead(self) -> bool:
        """True if the clock, or a key, is ahead of this machine's clock."""
        return self.clock_us > self.latest_us or bool(self.ahead)


def read_clocks(log: StateLog, now_us: int) -> Iterator[PartitionClock]:
    """Read the clocks of all partitions that have state.

    Args:
        log: Changelogs of the group.
        now_us: This machine's clock, microseconds since the epoch.
    """
    latest_us = now_us + CLOCK_SKEW_US
    for topic in log.topics:
        for state in log.read(topic):
            if state.meta is None:
                continue
            clock = PartitionClock(topic, state, state.meta, latest_us)
            newest_us = 0
            for key, row in state.rows.items():
                times = list(_times(row, state.meta).values())
                if any(time_us > latest_us for time_us in times):
                    clock.ahead.append(key)
                newest_us = max([newest_us, *(t for t in times if t <= latest_us)])
            clock.reset_us = newest_us or now_us
            yield clock


def reset_clocks(log: StateLog, clocks: list[PartitionClock]) -> int:
    """Set clocks that are ahead back, and the times of keys that are.

    Args:
        log: Changelogs of the group; no worker may run.
        clocks: Clocks from `read_clocks`.

    Returns:
        Number of records written.
    """
    with log.writing() as writer:
        for clock in clocks:
            changelog, meta = log.changelog(clock.topic), clock.meta
            for key in clock.ahead:
                row = set_back(clock.state.rows[key], meta, clock.latest_us, clock.reset_us)
                writer.put(changelog, clock.partition, key, row)
            meta.clock_us = min(meta.clock_us, clock.reset_us)
            meta.clock_bound_us = min(meta.clock_bound_us, clock.latest_us)
            committed = clock.state.committed_before
            headers = [] if committed is None else [(COMMITTED_HEADER, str(committed).encode())]
            # After the rows: a reader that sees it has seen all rows it describes.
            writer.put(changelog, clock.partition, META_KEY, meta.encode(), headers)
    return writer.written


def set_back(row: bytes, meta: MetaRow, latest_us: int, reset_us: int) -> bytes:
    """Return a row without times that are ahead; all that the key has learnt stays.

    Args:
        row: Row as stored in the changelog.
        meta: Meta row of the partition, which describes the layout of rows.
        latest_us: Latest time that is not ahead.
        reset_us: Time to put in place of one that is.
    """
    record = _record(row, meta)
    if record is None:
        return row
    for name in _TIMES:
        if name in record.dtype.fields and record[name] > latest_us:
            record[name] = reset_us
    if "window_open" in record.dtype.fields:  # intervals that no record would ever close
        record["window_open"][record["window_start"] > latest_us] = 0
    return bytes(record.tobytes())


def _times(row: bytes, meta: MetaRow) -> dict[str, int]:
    record = _record(row, meta)
    names: Any = () if record is None else record.dtype.fields
    times = {name: int(record[name]) for name in _TIMES if name in names}  # type: ignore[index]
    if "window_open" in names:
        starts = record["window_start"][record["window_open"] > 0]  # type: ignore[index]
        times["window_start"] = int(starts.max(initial=NEVER))
    return times


def _record(row: bytes, meta: MetaRow) -> Any | None:
    """Return a writable copy of a row with its fields; None where no layout fits it."""
    for described in (*meta.described(), *meta.former):
        layout = describe(described)
        if (
            layout is not None
            and len(row) == layout.dtype.itemsize
            and mark_in(row) == mark_of(described.model)
        ):
            return np.frombuffer(bytearray(row), dtype=layout.dtype)[0]
    return None
