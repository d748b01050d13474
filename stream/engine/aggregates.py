"""Aggregates of the samples of an interval: their accumulators, and the result.

Samples are added in the order of arrival, so that the bits do not depend on how they were cut into
batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.rows import quantile_of
from stream.engine.state.layout import NEVER, SAMPLE

Accumulators = dict[str, Any]
"""Field of a row -> what it holds of each interval, `(G, ...)`."""
_ADDED = ("mean", "sum", "delta", "rate")
_FAR = 2**62


class Columns(NamedTuple):
    """Values of samples, `(n, A)` each, NaN where a sample lacks a channel.

    Attributes:
        values: Values, or the increases of counters.
        seconds: Time in which a counter rose; None where there is no rate.
    """

    values: NDArray[np.float64]
    seconds: NDArray[np.float64] | None = None


class Aggregates:
    """Aggregates of `A` columns.

    Args:
        uses: Aggregate of each column.

    Attributes:
        fields: Fields of a row that hold them, one entry an open interval.
    """

    def __init__(self, uses: Sequence[str]) -> None:
        kinds = np.array(uses, dtype=object)
        self._uses = tuple(uses)
        # Columns of each aggregate.
        self._of = {kind: np.flatnonzero(kinds == kind) for kind in set(uses)}
        self._added = np.flatnonzero(np.isin(kinds, _ADDED))
        quantiles = [quantile_of(use) for use in uses]
        self._sampled = np.flatnonzero([share is not None for share in quantiles])
        self._shares = np.array([share for share in quantiles if share is not None])
        self._second = np.flatnonzero(np.isin(kinds, ("rate", "std")))
        self._fields: dict[str, tuple[tuple[int, ...], Any]] = {
            "window_value": ((len(uses),), np.float64),
            "window_count": ((len(uses),), np.uint32),
            "window_time": ((len(uses),), np.int64),
        }
        if self._second.size:
            self._fields["window_second"] = ((self._second.size,), np.float64)
        if "std" in self._of:
            self._fields["window_squares"] = ((self._of["std"].size,), np.float64)
        if self._sampled.size:
            self._fields["window_sample"] = ((self._sampled.size, SAMPLE), np.float64)
        self.fields = tuple(self._fields)

    def _columns(self, use: str) -> list[int]:
        """Return the columns with an aggregate."""
        return self._of[use].tolist() if use in self._of else []

    def empty(self, groups: int) -> Accumulators:
        """Return accumulators of intervals without samples."""
        return {
            name: np.zeros((groups, *shape), dtype=dtype)
            for name, (shape, dtype) in self._fields.items()
        }

    def add(
        self,
        sums: Accumulators,
        group: NDArray[np.int64],
        time_us: NDArray[np.int64],
        columns: Columns,
    ) -> None:
        """Add samples.

        Args:
            sums: Accumulators of `G` intervals, written to.
            group: Interval of each sample, `(n,)`; samples of one interval in order of arrival.
            time_us: Event time of each, `(n,)`.
            columns: Values of each.
        """
        values, present = columns.values, np.isfinite(columns.values)
        arrival = np.argsort(group, kind="stable")
        by_time = np.lexsort((time_us, group))
        starts = np.flatnonzero(np.diff(group[arrival], prepend=-1))
        touched = group[arrival[starts]]
        # `_note_newest` and the counts come last: the others read both as they were.
        for position, column in enumerate(self._columns("std")):
            self._add_deviations(
                sums, group, arrival, starts, touched, position, column, values, present
            )
        for kind, operation in (("max", np.fmax), ("min", np.fmin)):
            for column in self._columns(kind):
                mask = present[:, column]
                total = np.where(sums["window_count"][:, column] > 0, 0.0, np.nan)
                total += sums["window_value"][:, column]
                # Which of 0 and -0 is larger would depend on their order: there is 0 only.
                operation.at(total, group[mask], values[mask, column] + 0.0)
                sums["window_value"][:, column] = np.where(np.isnan(total), 0.0, total)
        for column in self._added.tolist():
            mask = present[:, column]
            np.add.at(sums["window_value"][:, column], group[mask], values[mask, column])
        if columns.seconds is not None:
            for position, column in enumerate(self._second.tolist()):
                if self._uses[column] == "rate":
                    mask = present[:, column]
                    seconds = columns.seconds[mask, column]
                    np.add.at(sums["window_second"][:, position], group[mask], seconds)
        for position, column in enumerate(self._sampled.tolist()):
            self._add_sampled(sums, group, arrival, position, column, values, present)
        if "first" in self._of:
            self._note_first(sums, time_us, by_time, starts, touched, values, present)
        self._note_newest(sums, time_us, by_time, starts, touched, values, present)
        counts = np.add.reduceat(present[arrival], starts, axis=0, dtype=np.uint32)
        sums["window_count"][touched] += counts

    def _note_newest(
        self,
        sums: Accumulators,
        time_us: NDArray[np.int64],
        by_time: NDArray[np.int64],
        starts: NDArray[np.int64],
        touched: NDArray[np.int64],
        values: NDArray[np.float64],
        present: NDArray[np.bool_],
    ) -> None:
        """Note time, and with `last` the value, of the newest sample; of equal times the later."""
        position = np.where(present[by_time], np.arange(by_time.size)[:, None], -1)
        newest = np.maximum.reduceat(position, starts, axis=0)
        sample = by_time[np.maximum(newest, 0)]
        count, old_time = sums["window_count"][touched], sums["window_time"][touched]
        old_time = np.where(count > 0, old_time, NEVER)
        new_time = time_us[sample]
        is_new = (newest >= 0) & (new_time >= old_time)
        if "first" in self._of:
            is_new[:, self._of["first"]] = False
        sums["window_time"][touched] = np.where(
            is_new, new_time, np.where(count > 0, old_time, sums["window_time"][touched])
        )
        if "last" in self._of:
            columns = self._of["last"]
            value = sums["window_value"][touched[:, None], columns]
            latest = values[sample[:, columns], columns]
            sums["window_value"][touched[:, None], columns] = np.where(
                is_new[:, columns], latest, value
            )

    def _note_first(
        self,
        sums: Accumulators,
        time_us: NDArray[np.int64],
        by_time: NDArray[np.int64],
        starts: NDArray[np.int64],
        touched: NDArray[np.int64],
        values: NDArray[np.float64],
        present: NDArray[np.bool_],
    ) -> None:
        """Note time and value of the oldest sample; of equal times the one that came first."""
        columns = self._of["first"]
        index = touched[:, None], columns
        position = np.where(present[by_time][:, columns], np.arange(by_time.size)[:, None], _FAR)
        oldest = np.minimum.reduceat(position, starts, axis=0)
        sample = by_time[np.where(oldest < _FAR, oldest, 0)]
        old_time = np.where(sums["window_count"][index] > 0, sums["window_time"][index], _FAR)
        is_new = (oldest < _FAR) & (time_us[sample] < old_time)
        for name, value in (("window_value", values[sample, columns]), ("window_time", None)):
            new = time_us[sample] if value is None else value
            sums[name][index] = np.where(is_new, new, sums[name][index])

    def _add_deviations(
        self,
        sums: Accumulators,
        group: NDArray[np.int64],
        arrival: NDArray[np.int64],
        starts: NDArray[np.int64],
        touched: NDArray[np.int64],
        position: int,
        column: int,
        values: NDArray[np.float64],
        present: NDArray[np.bool_],
    ) -> None:
        """Add deviations from the first value of the interval, and their squares."""
        mask = present[:, column]
        first = np.where(mask[arrival], np.arange(arrival.size), _FAR)
        first = np.minimum.reduceat(first, starts)
        begins = (first < _FAR) & (sums["window_count"][touched, column] == 0)
        sums["window_value"][touched[begins], column] = values[arrival[first[begins]], column]
        deviation = values[mask, column] - sums["window_value"][group[mask], column]
        second = int(np.searchsorted(self._second, column))
        np.add.at(sums["window_second"][:, second], group[mask], deviation)
        np.add.at(sums["window_squares"][:, position], group[mask], deviation * deviation)

    def _add_sampled(
        self,
        sums: Accumulators,
        group: NDArray[np.int64],
        arrival: NDArray[np.int64],
        position: int,
        column: int,
        values: NDArray[np.float64],
        present: NDArray[np.bool_],
    ) -> None:
        """Keep the first values of the interval, then each with a falling chance, by its number."""
        arrived = arrival[present[arrival, column]]
        owner = group[arrived]
        # Number of each value in its interval: `owner` rises, so that a search finds its first.
        number = np.arange(owner.size) - np.searchsorted(owner, owner)
        number += sums["window_count"][owner, column]
        target = np.where(number < SAMPLE, number, _shuffled(number) % (number + 1))
        fits = target < SAMPLE
        # Of several values for one place the last one stays, as if they came one by one.
        sums["window_sample"][owner[fits], position, target[fits]] = values[arrived[fits], column]

    def result(self, sums: Accumulators) -> NDArray[np.float64]:
        """Return the aggregates of intervals, `(G, A)`; NaN where a channel sent nothing."""
        count, result = sums["window_count"], sums["window_value"].copy()
        n = np.maximum(count, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            for column in self._columns("mean"):
                result[:, column] /= n[:, column]
            for column in self._columns("count"):
                result[:, column] = count[:, column]
            for position, column in enumerate(self._second.tolist()):
                second = sums["window_second"][:, position]
                if self._uses[column] == "rate":
                    result[:, column] = np.where(second > 0, result[:, column] / second, np.nan)
            for position, column in enumerate(self._columns("std")):
                mean = sums["window_second"][:, np.searchsorted(self._second, column)]
                mean = mean / n[:, column]
                variance = sums["window_squares"][:, position] / n[:, column] - mean * mean
                result[:, column] = np.sqrt(np.maximum(variance, 0.0))
        for position, column in enumerate(self._sampled.tolist()):
            sample, share = sums["window_sample"][:, position], float(self._shares[position])
            result[:, column] = _quantiles(sample, count[:, column], share)
        return np.where(count > 0, result, np.nan)


def _shuffled(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number without a pattern for each count: SplitMix64, without its sign."""
    x = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def _quantiles(
    sample: NDArray[np.float64], count: NDArray[np.uint32], share: float
) -> NDArray[np.float64]:
    """Return a quantile of each row of values, between two of them by a straight line.

    Args:
        sample: Values, `(G, SAMPLE)`.
        count: Number of samples, of which the first places are filled, `(G,)`.
        share: Share of the values below.
    """
    size = np.clip(count.astype(np.int64), 1, SAMPLE)
    ordered = np.sort(np.where(np.arange(SAMPLE) < size[:, None], sample, np.inf), axis=1)
    position = (size - 1) * share
    low = np.floor(position).astype(np.int64)
    row = np.arange(len(ordered))
    lower, upper = ordered[row, low], ordered[row, np.minimum(low + 1, size - 1)]
    result: NDArray[np.float64] = lower + (upper - lower) * (position - low)
    return result
