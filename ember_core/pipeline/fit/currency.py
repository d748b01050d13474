"""Severity of statistics in one currency: the expected number of peaks per key and day.

`severity = -log10 rate`, with `rate(u)` the peaks of at least `u` that a key shows in a day of the
history. The body of a curve is counted, its tail is a Pareto. A second curve does the same for the
largest severity over all statistics of a class, so that 8 channels and 38 mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.pipeline.evidence.curves import GRID_HIGH, GRID_LOW, GRID_POINTS, SeverityCurves

Numbers = NDArray[np.float64]

MERGED_ROWS = 60
"""Rows within which excursions are one peak, and length of the blocks of the body."""
USUAL_ALPHA, USUAL_PEAKS = 4.0, 3.0  # tail index of few peaks, and the peaks that it counts as
TAIL_SHARE, TAIL_LEAST, TAIL_MOST = 0.25, 8, 60  # peaks that the tail is fitted on
CLASS_TAIL_MOST = 40
CLASS_QUANTILE = 0.99  # of the largest severity: excursions of a class rise above it
_SHORTEST_TAIL = 0.03  # mean log excess: equal peaks must not end a curve
_POINTS = 200  # counted points of a body, about
_TILE_ROWS = 4096


def excursion_peaks(trace: Any, threshold: float = 1.0, merged_rows: int = MERGED_ROWS) -> Numbers:
    """Return the largest value of each excursion above a threshold.

    Args:
        trace: Values of a key's rows in order, `(T,)`.
        threshold: Value above which an excursion is.
        merged_rows: Excursions with at most as many rows from one to the next are one.
    """
    values = np.asarray(trace, dtype=np.float64)
    exceeding = np.flatnonzero(values > threshold)
    if not exceeding.size:
        return np.empty(0)
    starts = np.r_[0, np.flatnonzero(np.diff(exceeding) > merged_rows) + 1]
    return np.asarray(np.maximum.reduceat(values[exceeding], starts), dtype=np.float64)


def block_maxima(trace: Any, rows: int = MERGED_ROWS) -> Any:
    """Return the largest values of consecutive blocks of rows, `(T / rows, ...)` rounded up."""
    values = np.asarray(trace)
    starts = np.arange(0, len(values), rows)
    return np.maximum.reduceat(values, starts, axis=0) if len(values) else values


@dataclass(frozen=True)
class PeakRate:
    """Peaks per key and day above a size, as a severity.

    Attributes:
        sizes: Sizes of counted points, rising, `(P,)`.
        severities: Severity at each, rising, `(P,)`.
        tail_from: Size from which the tail counts.
        tail_severity: Severity there.
        alpha: Tail index: the rate falls as `size^-alpha`.
    """

    sizes: Numbers
    severities: Numbers
    tail_from: float
    tail_severity: float
    alpha: float

    def __call__(self, u: Any) -> Numbers:
        """Return the severity of sizes, of their shape, float64."""
        sizes = np.maximum(np.asarray(u, dtype=np.float64), self.sizes[0])
        body = np.interp(np.log(sizes), np.log(self.sizes), self.severities)
        tail = self.tail_severity + self.alpha * np.log10(sizes / self.tail_from)
        return np.asarray(np.where(sizes > self.tail_from, tail, body))


def fit_peak_rate(peaks: Any, maxima: Any, days: float, tail_most: int = TAIL_MOST) -> PeakRate:
    """Fit the rate of peaks above a size.

    Below 1 there are no peaks: there the blocks count whose largest value reaches a size, up to
    all of them. A statistic that is never large so has no severity while it is at rest.

    Args:
        peaks: Peaks above 1 of all keys, `(P,)`.
        maxima: Largest values of all blocks of rows of all keys, `(M,)`.
        days: Days of all keys together.
        tail_most: Number of peaks that the tail is fitted on, at most.
    """
    peaks = np.sort(np.asarray(peaks, dtype=np.float64))[::-1]
    count = len(peaks)
    tail_count, alpha = max(count, 1), USUAL_ALPHA
    top = max(1.0, *peaks) if count else 1.0
    sizes, severities = np.array([top]), np.log10(days / np.array([tail_count]))
    if count >= 3:
        tail_count = max(1, min(int(count * TAIL_SHARE), tail_most, count - 1))
        tail_count = max(tail_count, min(TAIL_LEAST, count - 1))
        top = float(peaks[tail_count])
        # Hill's estimator, leaning on the usual tail index.
        excess = float(np.sum(np.log(peaks[:tail_count] / top))) + USUAL_PEAKS / USUAL_ALPHA
        alpha = 1.0 / max(excess / (tail_count + USUAL_PEAKS), _SHORTEST_TAIL)
        ranks = _some_ranks(tail_count, count - 1)[::-1]
        sizes, severities = peaks[ranks], np.log10(days / (ranks + 1.0))
    low, usual = _body(np.asarray(maxima, dtype=np.float64), days)
    sizes, severities = np.r_[low, sizes], np.r_[usual, severities]
    # Neither count may say that a larger value is the more usual one.
    severities = np.minimum.accumulate(severities[::-1])[::-1]
    sizes, first = np.unique(sizes, return_index=True)
    return PeakRate(sizes, severities[first], top, float(np.log10(days / tail_count)), float(alpha))


def _some_ranks(start: int, end: int) -> NDArray[np.int64]:
    """Return some of the ranks from start to end, both of them in it."""
    return np.unique(np.r_[start : end : max(1, (end - start) // _POINTS), end])


def _body(maxima: Numbers, days: float) -> tuple[Numbers, Numbers]:
    """Return sizes of at most 1, and the severities by blocks whose maximum reaches them."""
    ordered = np.sort(maxima)
    usual = int(np.searchsorted(ordered, 1.0, side="right"))
    ranks = _some_ranks(0, usual - 1) if usual else np.array([], dtype=np.int64)
    return ordered[ranks], np.log10(days / (len(ordered) - ranks))


@dataclass(frozen=True)
class ClassRate:
    """Peaks per key and day of the largest severity of a class, as a severity.

    Attributes:
        usual: Severity above which its excursions are.
        rate: Curve over `10^(severity - usual)`: the tail is exponential in severity.
    """

    usual: float
    rate: PeakRate

    def __call__(self, severity: Any) -> Numbers:
        """Return the severity of the class where its largest statistic has a severity."""
        return self.rate(_powers(severity, self.usual))


def fit_class_rate(traces: Sequence[Any], days: float) -> ClassRate:
    """Fit the second curve of a class.

    Args:
        traces: Largest severity over the statistics of each key, `(T,)` each.
        days: Days of all keys together.
    """
    usual = float(np.quantile(np.concatenate(traces), CLASS_QUANTILE))
    sizes = [_powers(trace, usual) for trace in traces]
    peaks = np.concatenate([excursion_peaks(size) for size in sizes])
    maxima = np.concatenate([block_maxima(size) for size in sizes])
    return ClassRate(usual, fit_peak_rate(peaks, maxima, days, CLASS_TAIL_MOST))


def _powers(severity: Any, usual: float) -> Numbers:
    return np.asarray(10.0 ** np.clip(np.asarray(severity, np.float64) - usual, -6.0, 12.0))


def fit_peak_rates(traces: Sequence[Any], days: float) -> list[PeakRate]:
    """Fit the curve of every statistic, over all keys.

    Args:
        traces: Statistics of each key's rows in order, `(T, J)` each.
        days: Days of all keys together.
    """
    maxima = np.concatenate([block_maxima(trace) for trace in traces])
    # All rows reach the first point of the tables, so that a statistic at rest has no severity.
    maxima = np.maximum(maxima, np.exp(GRID_LOW))
    return [
        fit_peak_rate(
            np.concatenate([excursion_peaks(trace[:, j]) for trace in traces]), maxima[:, j], days
        )
        for j in range(traces[0].shape[1])
    ]


def fit_tables(traces: Sequence[Any], days: float) -> NDArray[np.float32]:
    """Fit the tables of a class of statistics: their curves, then the curve of the class.

    Args:
        traces: Statistics of each key's rows in order, `(T, J)` each, over the usual for the
            key; of rows that no part of the fit has seen (out of fold).
        days: Days of all keys together.

    Returns:
        `(J, 65)`, the tables of `SeverityCurves`.
    """
    grid = np.exp(np.linspace(GRID_LOW, GRID_HIGH, GRID_POINTS))
    tables = np.stack([rate(grid) for rate in fit_peak_rates(traces, days)])
    with ops.default_backend("numpy"):
        curves = SeverityCurves(len(tables))
        curves.assign({"tables": tables.astype(np.float32)})
    largest = [
        np.concatenate([curves(part).max(axis=1) for part in _tiles(trace)]) for trace in traces
    ]
    return fit_class_rate(largest, days)(tables).astype(np.float32)


def _tiles(trace: Any) -> list[Any]:
    """Return the rows of a trace, some thousand at a time, as float32."""
    count = max(1, -(-len(trace) // _TILE_ROWS))
    return [np.asarray(part, dtype=np.float32) for part in np.array_split(trace, count)]
