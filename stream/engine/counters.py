"""Counters: the increase of each sample over the one before it, and the seconds that it covers.

A counter that falls began anew, as in Prometheus: its increase is the new value. So did one whose
start time is later than before, whatever its value (OTLP). Points of delta temporality are the
increase themselves. The first sample of a key has no increase, and a sample that is not newer than
the newest one of its channel adds nothing: its increase is a part of the newer one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import PackedRows
from stream.engine.state.layout import NEVER
from stream.records import Temporality

_NO_ROW = -1


class Increases(NamedTuple):
    """Increases of counters, NaN where a sample has none; both of shape `(n, D)`.

    Attributes:
        increase: Increase, or change where the channel is no counter but a level.
        seconds: Time in which it happened.
    """

    increase: NDArray[np.float64]
    seconds: NDArray[np.float64]


class Counters:
    """Counters and changes of levels among the columns of a sample.

    Args:
        uses: `rate` or `delta` of each of the `D` columns: only rates have resets.
        gap_us: Longest time between two samples that gives an increase; 0: any.
    """

    fields = ("counter_value", "counter_time", "counter_start")

    def __init__(self, uses: Sequence[str], gap_us: int) -> None:
        self._resets = np.array([use == "rate" for use in uses])
        self._gap_us = gap_us or 2**62

    def increases(
        self,
        views: dict[str, Any],
        packed: PackedRows,
        time_us: NDArray[np.int64],
        values: NDArray[np.float64],
        temporality: NDArray[np.uint8] | None,
        start_us: NDArray[np.int64] | None,
    ) -> Increases:
        """Return the increases of packed samples, none of them late.

        Args:
            views: Fields of the packed keys, each `(K, D)`, written to.
            packed: Key of each sample, and its place among those of the key.
            time_us: Event time, `(n,)`.
            values: Values of the counters, NaN where a sample lacks one, `(n, D)`.
            temporality: Kind of each sample, where the format tells, `(n,)`.
            start_us: Start of the time that it covers, 0 where unknown, `(n,)`.
        """
        n, columns = values.shape
        present, time = np.isfinite(values), np.broadcast_to(time_us[:, None], values.shape)
        start = np.zeros(values.shape, dtype=np.int64)
        if start_us is not None:
            start += start_us[:, None]
        is_delta = np.zeros(values.shape, dtype=bool)
        if temporality is not None:
            is_delta |= (temporality == Temporality.DELTA)[:, None]
        # Newest time of the channel before each sample; only newer ones move the counter on.
        newest = views["counter_time"]
        running = packed.accumulate(np.maximum, newest, np.where(present, time, NEVER))
        newest_time = packed.previous(newest, running)
        is_newer = present & (time > newest_time)
        row = np.where(is_newer, np.arange(n)[:, None], _NO_ROW)
        no_row = np.full((packed.key_count, columns), _NO_ROW, dtype=np.int64)
        last_row = packed.accumulate(np.maximum, no_row, row)
        previous_row = packed.previous(no_row, last_row)

        def before_each(name: str, column: NDArray[Any]) -> NDArray[Any]:
            """Return what a field was before each sample."""
            stored = packed.expand(views[name])
            in_batch = np.take_along_axis(column, np.maximum(previous_row, 0), axis=0)
            return np.where(previous_row >= 0, in_batch, stored)

        if not n:
            return Increases(values, values)
        old = before_each("counter_value", values)
        old_time = before_each("counter_time", time)
        old_start = before_each("counter_start", start)
        has_old = (old_time > NEVER) & (time - np.maximum(old_time, -(2**61)) <= self._gap_us)
        change = values - old
        is_reset = self._resets & ((change < 0) | ((start > old_start) & (old_start > 0)))
        increase = np.where(is_reset | is_delta, values, change)
        begin_us = np.where(is_delta & (start > 0), start, old_time)
        # A delta that comes late is no part of a newer one; one that comes twice has equal times.
        counts = np.where(is_delta, present & (time != newest_time), is_newer)
        counts &= (has_old | (is_delta & (start > 0))) & (begin_us < time)
        seconds = (time - np.maximum(begin_us, -(2**61))) * 1e-6
        last = packed.last(last_row)
        for name, column in zip(self.fields, (values, time, start), strict=True):
            newest_column = np.take_along_axis(column, np.maximum(last, 0), axis=0)
            views[name][...] = np.where(last >= 0, newest_column, views[name])
        missing = np.nan
        return Increases(np.where(counts, increase, missing), np.where(counts, seconds, missing))
