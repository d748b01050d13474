"""Positions of a reader, and the offset that a restart begins at to have the hours before again."""

from __future__ import annotations

from collections import deque

from stream.bridge import Progress
from stream.types import TP

_MARKS = 64


class RowPositions:
    """Positions in the scores topics, with marks of event time along the way.

    Args:
        span_us: Event time that a restart reads again, in microseconds.
    """

    def __init__(self, span_us: int) -> None:
        self._span_us = span_us
        self._next: dict[TP, int] = {}
        self._marks: dict[TP, deque[tuple[int, int]]] = {}

    def read(self, tp: TP, offset: int, time_us: int) -> None:
        """Note that a record was read.

        Args:
            tp: Partition of the scores topic.
            offset: Offset of the record.
            time_us: Newest event time of its rows.
        """
        self._next[tp] = offset + 1
        marks = self._marks.setdefault(tp, deque())
        if not marks or time_us >= marks[-1][1] + self._span_us // _MARKS:
            marks.append((offset, time_us))
        while len(marks) > 1 and marks[1][1] <= time_us - self._span_us:
            marks.popleft()

    def reached(self, tp: TP, offset: int) -> None:
        """Note that everything before an offset was read."""
        self._next[tp] = offset

    def drop(self, tp: TP) -> None:
        """Forget a partition that was revoked."""
        self._next.pop(tp, None)
        self._marks.pop(tp, None)

    def progress(self) -> dict[TP, Progress]:
        """Return the progress to commit for each partition."""
        return {
            tp: Progress.of(position, (), self._first(tp), {})
            for tp, position in self._next.items()
        }

    def _first(self, tp: TP) -> int | None:
        marks = self._marks.get(tp)
        return marks[0][0] if marks else None
