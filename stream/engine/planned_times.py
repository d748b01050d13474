"""Times of planned work on the keys of one kind, from the calendars that match them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.control import Calendar

USUAL: Final = 0
"""Phase of a row without planned work."""
GRACE: Final = 1
"""Phase of a row soon after planned work: it teaches, and does not fire."""
PLANNED: Final = 2
"""Phase of a row under planned work: it neither teaches nor fires."""

Times = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Spans:
    """Spans of time, merged where they touch.

    Args:
        spans: Begin and end of each in microseconds, in any order.
    """

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(spans):
            if merged and begin <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], end)
            elif begin < end:
                merged.append((begin, end))
        self._begins = np.array([begin for begin, _ in merged], dtype=np.int64)
        self._ends = np.array([end for _, end in merged], dtype=np.int64)

    def meet(self, begin_us: Times, end_us: Times) -> Flags:
        """Return whether other spans meet one of these, `(n,)`.

        Args:
            begin_us: Begin of each, `(n,)`.
            end_us: End, not part of it, later than its begin.
        """
        if not self._begins.size:
            return np.zeros(len(begin_us), dtype=bool)
        last = np.searchsorted(self._begins, end_us, side="left") - 1
        return (last >= 0) & (self._ends[np.maximum(last, 0)] > begin_us)

    def after(self, time_us: Times) -> Times:
        """Return the end of the span that each time lies in, or the time itself, `(n,)`."""
        if not self._begins.size:
            return time_us
        last = np.searchsorted(self._begins, time_us, side="right") - 1
        ends = self._ends[np.maximum(last, 0)]
        return np.where((last >= 0) & (ends > time_us), ends, time_us)


class PlannedTimes:
    """Planned work on keys that the same calendars match.

    Attributes:
        quiet: Windows, each with its grace.

    Args:
        calendars: Names and calendars, by name.
    """

    def __init__(self, calendars: Sequence[tuple[str, Calendar]]) -> None:
        self._windows = Spans(s for _, calendar in calendars for s in _spans(calendar))
        self._by_name = [(name, Spans(_quiet_spans(calendar))) for name, calendar in calendars]
        self.quiet = Spans(s for _, calendar in calendars for s in _quiet_spans(calendar))
        self._without_limits = Spans(
            s for _, calendar in calendars if calendar.quiet_limits for s in _quiet_spans(calendar)
        )

    def phases(self, time_us: Times, row_us: int) -> NDArray[np.int8]:
        """Return the phase of rows, `(n,)`.

        Args:
            time_us: Time of each, or begin of its interval, `(n,)`.
            row_us: Length of an interval, microseconds; 0: a row is a moment.
        """
        end_us = time_us + max(row_us, 1)
        phases = np.where(self.quiet.meet(time_us, end_us), np.int8(GRACE), np.int8(USUAL))
        planned: NDArray[np.int8] = np.where(
            self._windows.meet(time_us, end_us), np.int8(PLANNED), phases
        )
        return planned

    def quiet_limits(self, time_us: Times, row_us: int) -> Flags:
        """Return whether hard limits do not fire at rows either; arguments as `phases` has them."""
        return self._without_limits.meet(time_us, time_us + max(row_us, 1))

    def names(self, time_us: int, row_us: int) -> list[str]:
        """Return the calendars that keep a row quiet, as events list them."""
        begin_us = np.array([time_us])
        end_us = begin_us + max(row_us, 1)
        return [f"calendar/{name}" for name, s in self._by_name if s.meet(begin_us, end_us)[0]]


def _spans(calendar: Calendar) -> Iterable[tuple[int, int]]:
    return ((begin * 1_000_000, end * 1_000_000) for begin, end in calendar.times)


def _quiet_spans(calendar: Calendar) -> Iterable[tuple[int, int]]:
    grace_us = calendar.grace_us
    return ((begin, end + grace_us) for begin, end in _spans(calendar))
