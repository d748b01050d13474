"""Clock of a partition: the largest event time that Kafka's timestamps and the worker allow.

Two clocks bound an event time: Kafka's timestamp of the record, and the worker's own. Kafka's is
part of the log, so that a replay reads the same. The worker's is not. It counts only where a record
claims a time that has not come yet, and the meta row keeps its bound before such a record is
absorbed ([ADR 22](docs/adr/0022-wrong-clocks.md)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from stream.engine.state.partition import Partition
from stream.records import Decoded

from .result import SliceOffsets

CLOCK_SKEW_US = 60_000_000
"""Time by which the clocks of two hosts may differ without either being called wrong."""
_RENEW_US = CLOCK_SKEW_US // 2
"""A bound is renewed no more often: each renewal costs a checkpoint."""
_UNBOUNDED = 2**62
_MAX_TIMESTAMP_MS = _UNBOUNDED // 1000
Counts = Sequence[tuple[Partition, int]]


def reference_times(parts: Counts, slice_offsets: SliceOffsets) -> NDArray[np.int64]:
    """Return the time that each message is measured by, microseconds; int64 `(m,)`.

    It is Kafka's timestamp, but no later than the bound of the partition. A message without a
    timestamp has the bound alone, and where no record needed one, any time has come already.

    Args:
        parts: Partitions of the slice, and the number of messages of each.
        slice_offsets: Offsets and Kafka timestamps of its messages.
    """
    bound_us = per_message(parts, lambda part: part.meta.clock_bound_us or _UNBOUNDED)
    return np.minimum(_kafka_times(slice_offsets), bound_us)


def per_message(parts: Counts, number: Callable[[Partition], int]) -> NDArray[np.int64] | int:
    """Return a number of its partition for each message, `(m,)`; one for all of one partition.

    Args:
        parts: Partitions of the slice, and the number of messages of each.
        number: Function that returns the number of a partition.
    """
    if len(parts) == 1:
        return number(parts[0][0])
    numbers = np.array([number(part) for part, _ in parts], dtype=np.int64)
    return np.repeat(numbers, [count for _, count in parts])


def clock_times(time_us: NDArray[np.int64], reference_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the times by which samples move the clock of their partition.

    A key whose own clock is ahead must not make other keys count as idle. Kafka's milliseconds are
    rounded up.

    Args:
        time_us: Event time of each sample, `(N,)`.
        reference_us: Reference time of its message, `(N,)`.
    """
    return np.minimum(time_us, reference_us + 999)


def bound_clocks(
    parts: Counts, decoded: Decoded, slice_offsets: SliceOffsets, now_us: int
) -> list[Partition]:
    """Bound the partitions whose records claim a time that has not come yet.

    Args:
        parts: Partitions of the slice, and the number of messages of each.
        decoded: The slice, decoded.
        slice_offsets: Offsets and Kafka timestamps of its messages.
        now_us: The worker's clock.

    Returns:
        Partitions with another bound than before. Their meta rows have to be written before the
        slice is absorbed: a replay must measure by the same bound.
    """
    latest_us = now_us + CLOCK_SKEW_US
    bounds = [part.meta.clock_bound_us or latest_us for part, _ in parts]
    if not len(decoded) or int(decoded.time_us.max()) <= min(bounds):
        return []  # the usual case
    claimed_us = np.minimum(decoded.time_us, _kafka_times(slice_offsets)[decoded.message])
    ends = np.searchsorted(decoded.message, np.cumsum([count for _, count in parts]))
    changed, begin = [], 0
    for (part, _), bound_us, end in zip(parts, bounds, ends.tolist(), strict=True):
        is_ahead = int(claimed_us[begin:end].max(initial=-_UNBOUNDED)) > bound_us
        begin = end
        former_us = part.meta.clock_bound_us
        if is_ahead and (not former_us or latest_us - former_us >= _RENEW_US):
            part.meta.clock_bound_us = latest_us
            changed.append(part)
    return changed


def _kafka_times(slice_offsets: SliceOffsets) -> NDArray[np.int64]:
    """Return Kafka's timestamps in microseconds; -1 and 0 are no time."""
    stamps = slice_offsets.timestamps_ms
    known_us = np.minimum(stamps, _MAX_TIMESTAMP_MS) * 1000
    return np.where(stamps > 0, known_us, _UNBOUNDED)
