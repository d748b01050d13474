"""Tumbling intervals by the key's own event time: samples in, complete rows out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import PackedRows
from stream.engine.state.layout import WindowSpec

from .aggregates import Accumulators, Aggregates, Columns

Indices = NDArray[np.int64]


class ClosedIntervals(NamedTuple):
    """Intervals that have closed, by key, then by start.

    Attributes:
        key: Index of the key among those of the block.
        sample: Index of the sample that closed it; -1 where the key's silence did.
        start: Start of the interval, microseconds.
        columns: Aggregates `(n, A)`, NaN where a channel sent nothing.
    """

    key: Indices
    sample: Indices
    start: Indices
    columns: NDArray[np.float64]


class _Groups(NamedTuple):
    """Intervals of keys that are open, or opened by samples: by key, then by start."""

    key: Indices
    start: Indices


class Tumbling:
    """Open intervals of a block of keys.

    An interval closes when the key's own largest event time passes its end by the lateness; a
    sample of an interval that has closed is late. All samples of a batch are added at once, with
    the bits of one after the other.

    Args:
        spec: Length and lateness.
        uses: Aggregate of each of the `A` columns.

    Attributes:
        fields: Fields of a row that are its own.
    """

    def __init__(self, spec: WindowSpec, uses: tuple[str, ...]) -> None:
        self.spec = spec
        self._aggregates = Aggregates(uses)
        self.fields = ("max_time", "window_start", "window_open", *self._aggregates.fields)

    def late(self, packed: PackedRows, max_time: Indices, time_us: Indices) -> NDArray[np.bool_]:
        """Return True where a packed sample's interval had closed; shape `(n,)`.

        Args:
            packed: Key of each sample.
            max_time: Largest event time of each key before, `(K,)`.
            time_us: Event time of each sample, `(n,)`.
        """
        # A late sample is never the largest, so that it need not be left out of the maximum.
        largest_time = packed.previous(max_time, packed.accumulate(np.maximum, max_time, time_us))
        late: NDArray[np.bool_] = self._end(self._start(time_us)) <= largest_time
        return late

    def add(
        self, views: dict[str, Any], packed: PackedRows, time_us: Indices, columns: Columns
    ) -> ClosedIntervals:
        """Add samples to their intervals, and close those that they close.

        Args:
            views: Fields of the packed keys, written to.
            packed: Key of each sample; none is late, and each key has at least one.
            time_us: Event time of each, `(n,)`.
            columns: Values of each.
        """
        running = packed.accumulate(np.maximum, views["max_time"], time_us)
        groups, sums, group = self._gather(views, packed.key, self._start(time_us))
        self._aggregates.add(sums, group, time_us, columns)
        views["max_time"][...] = packed.last(running)
        ends = self._end(groups.start)
        closes = ends <= views["max_time"][groups.key]
        self._put_back(views, groups, sums, ~closes)
        closed = np.flatnonzero(closes)
        sample = _first_beyond(groups.key[closed], ends[closed], packed.key, running)
        return self._closed(groups, sums, closed, sample)

    def close(self, views: dict[str, Any]) -> ClosedIntervals:
        """Close all intervals of keys that have fallen silent: later samples of these are late.

        Args:
            views: Fields of the keys, written to.
        """
        no_samples = np.zeros(0, dtype=np.int64)
        groups, sums, _ = self._gather(views, no_samples, no_samples)
        np.maximum.at(views["max_time"], groups.key, self._end(groups.start))
        self._put_back(views, groups, sums, np.zeros(groups.key.size, dtype=bool))
        indices = np.arange(groups.key.size)
        return self._closed(groups, sums, indices, np.full(indices.size, -1))

    def _gather(
        self, views: dict[str, Any], key: Indices, start: Indices
    ) -> tuple[_Groups, Accumulators, Indices]:
        """Return the open intervals with what they hold, and the interval of each sample.

        Args:
            views: Fields of the keys.
            key: Key of each sample, `(n,)`.
            start: Start of its interval, `(n,)`.
        """
        open_key, slot = np.nonzero(views["window_open"])
        all_keys = np.concatenate([open_key, key])
        all_starts = np.concatenate([views["window_start"][open_key, slot], start])
        order = np.lexsort((all_starts, all_keys))
        sorted_key, sorted_start = all_keys[order], all_starts[order]
        is_first = np.ones(order.size, dtype=bool)
        is_first[1:] = (np.diff(sorted_key) != 0) | (np.diff(sorted_start) != 0)
        group = np.empty(order.size, dtype=np.int64)
        group[order] = np.cumsum(is_first) - 1
        groups = _Groups(sorted_key[is_first], sorted_start[is_first])
        sums = self._aggregates.empty(groups.key.size)
        for name, value in sums.items():
            value[group[: slot.size]] = views[name][open_key, slot]
        return groups, sums, group[slot.size :]

    def _put_back(
        self, views: dict[str, Any], groups: _Groups, sums: Accumulators, stays: NDArray[np.bool_]
    ) -> None:
        """Write open intervals to the slots of their keys, oldest first; other slots are zero."""
        key = groups.key[stays]
        # Place among the intervals of its key: those of one key stand side by side.
        slot = np.arange(key.size) - np.searchsorted(key, key)
        # There is room for all, unless the length was another one when a row was written.
        fits = slot < self.spec.open_windows
        key, slot = key[fits], slot[fits]
        index = np.flatnonzero(stays)[fits]
        for name in self.fields[1:]:
            views[name][...] = 0
        views["window_start"][key, slot] = groups.start[index]
        views["window_open"][key, slot] = 1
        for name, value in sums.items():
            views[name][key, slot] = value[index]

    def _closed(
        self, groups: _Groups, sums: Accumulators, closed: Indices, sample: Indices
    ) -> ClosedIntervals:
        result = self._aggregates.result({name: value[closed] for name, value in sums.items()})
        return ClosedIntervals(groups.key[closed], sample, groups.start[closed], result)

    def _start(self, time_us: Any) -> Any:
        return time_us - time_us % self.spec.interval_us

    def _end(self, start: Any) -> Any:
        return start + (self.spec.interval_us + self.spec.lateness_us)


def _first_beyond(
    key: Indices, end: Indices, sample_key: Indices, running: Indices
) -> NDArray[np.int64]:
    """Return the first sample of each interval's key with which the largest time reaches its end.

    Args:
        key: Key of each interval, `(m,)`.
        end: Time that closes it, `(m,)`; the key reaches it.
        sample_key: Key of each sample, packed, `(n,)`.
        running: Largest event time of the key up to each sample, `(n,)`.
    """
    m = key.size
    if not m:
        return np.zeros(0, dtype=np.int64)
    times = np.concatenate([end, running])
    is_sample = np.arange(times.size) >= m
    # Intervals come before samples that just reach their end.
    order = np.lexsort((is_sample, times, np.concatenate([key, sample_key])))
    position = np.where(is_sample[order], np.arange(order.size), order.size)
    next_sample = np.minimum.accumulate(position[::-1])[::-1]
    sample = np.empty(times.size, dtype=np.int64)
    sample[order] = order[np.minimum(next_sample, order.size - 1)] - m
    return sample[:m]
