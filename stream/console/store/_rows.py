"""Log of scored rows at full resolution, the oldest dropped first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from stream.scores import ScoreBatch

from ._points import Points

_SEGMENT_BYTES = 4 << 20
"""Bytes of a segment, which is dropped at once."""
_LEAST_ROWS = 64


@dataclass
class _Segment:
    """Rows in order of arrival, of which `size` are used."""

    number: NDArray[np.int32]
    time_us: NDArray[np.int64]
    score: NDArray[np.float32]
    severity: NDArray[np.float32]
    evidence: NDArray[np.float32]
    threshold: NDArray[np.float32]
    firing: NDArray[np.bool_]
    value: NDArray[np.float32]
    usual: NDArray[np.float32]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    contribution: NDArray[np.float32]
    size: int = 0
    newest_us: int = 0

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, field.name).nbytes for field in fields(self)[:-2])


class RowLog:
    """Rows of keys that have the same channels.

    Segments are scanned for a key: three million rows take some milliseconds, and an append costs
    no more than the copy.

    Args:
        channels: Number of channels.

    Attributes:
        complete_from_us: Time from which no row was dropped.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._capacity = max(_SEGMENT_BYTES // (29 + 20 * channels), _LEAST_ROWS)
        self._segments: deque[_Segment] = deque()
        self.complete_from_us = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.nbytes for segment in self._segments)

    @property
    def size(self) -> int:
        """Number of rows."""
        return sum(segment.size for segment in self._segments)

    @property
    def oldest_us(self) -> int | None:
        """Time of the newest row of the oldest segment; None without rows."""
        return self._segments[0].newest_us if self._segments else None

    def add(self, numbers: NDArray[np.int32], batch: ScoreBatch) -> None:
        """Take rows.

        Args:
            numbers: Numbers of the keys, `(n,)`.
            batch: The rows.
        """
        begin = 0
        while begin < len(batch):
            if not self._segments or self._segments[-1].size == self._capacity:
                self._segments.append(_segment(self._channels, self._capacity))
            segment = self._segments[-1]
            count = min(len(batch) - begin, self._capacity - segment.size)
            target = slice(segment.size, segment.size + count)
            source = slice(begin, begin + count)
            segment.number[target] = numbers[source]
            for name in _COLUMNS:
                getattr(segment, name)[target] = getattr(batch, name)[source]
            segment.size += count
            segment.newest_us = max(segment.newest_us, int(batch.time_us[source].max()))
            begin += count

    def drop_oldest(self) -> int:
        """Drop the oldest segment; return its number of rows."""
        if not self._segments:
            return 0
        segment = self._segments.popleft()
        self.complete_from_us = max(self.complete_from_us, segment.newest_us + 1)
        return segment.size

    def drop_before(self, time_us: int) -> None:
        """Drop the segments whose rows are all older than a time."""
        while len(self._segments) > 1 and self._segments[0].newest_us < time_us:
            self.drop_oldest()

    def points(self, number: int, begin_us: int, end_us: int) -> Points:
        """Return the rows of a key between two times, in order of time."""
        parts = []
        for segment in self._segments:
            if segment.newest_us < begin_us:
                continue
            index = np.flatnonzero(segment.number[: segment.size] == number)
            if len(index):
                times = segment.time_us[index]
                index = index[(times >= begin_us) & (times < end_us)]
                parts.append(_points(segment, index))
        return Points.joined(parts, self._channels)


_COLUMNS = tuple(field.name for field in fields(_Segment))[1:-2]


def _points(segment: _Segment, index: NDArray[np.int64]) -> Points:
    value = segment.value[index]
    columns = {name: getattr(segment, name)[index] for name in _COLUMNS if name != "value"}
    return Points(value=value, low=value, high=value, **columns)


def _segment(channels: int, rows: int) -> _Segment:
    row, wide = (rows,), (rows, channels)
    score, severity, evidence, threshold = (np.zeros(row, np.float32) for _ in range(4))
    value, usual, lower, upper, contribution = (np.zeros(wide, np.float32) for _ in range(5))
    return _Segment(
        number=np.zeros(row, np.int32),
        time_us=np.zeros(row, np.int64),
        score=score,
        severity=severity,
        evidence=evidence,
        threshold=threshold,
        firing=np.zeros(row, np.bool_),
        value=value,
        usual=usual,
        lower=lower,
        upper=upper,
        contribution=contribution,
    )
