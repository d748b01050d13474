"""Rows of one key on an even grid of time, as the period search reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline.fit.series import Series

CYCLES = 2.5
"""Least number of cycles of a period that a history has to hold."""

_CLIP = 5.0  # usual deviations: one burst must not make a channel's whole variance

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Binned:
    """Standardised values of one key, in bins of equal length.

    Attributes:
        step_us: Length of a bin.
        values: Mean of each bin, `(C, n)`; 0 where there is none.
        weights: Number of values in each, `(C, n)`; `(1, n)` where all channels have the same.
        squares: Sum of the squares of all values, `(C,)`, also of those in one bin.
        slow: Sum of the squares of the history about its slow level, `(C,)`.
    """

    step_us: int
    values: FloatArray
    weights: FloatArray
    squares: FloatArray
    slow: FloatArray

    @property
    def span_us(self) -> int:
        """Length of the history."""
        return int(self.step_us * self.values.shape[1])

    @cached_property
    def coarser(self) -> Binned:
        """The same in bins twice as long."""
        even = self.values.shape[1] % 2 == 0
        sums, weights = self.values * self.weights, self.weights
        if not even:
            sums, weights = (np.pad(x, ((0, 0), (0, 1))) for x in (sums, weights))
        weights = weights[:, ::2] + weights[:, 1::2]
        values = (sums[:, ::2] + sums[:, 1::2]) / np.maximum(weights, 1.0)
        return replace(self, step_us=2 * self.step_us, values=values, weights=weights)

    def with_bins(self, step_us: float) -> Binned:
        """Return the same in the longest bins that are no longer than `step_us`."""
        binned = self
        while 2 * binned.step_us <= step_us:
            binned = binned.coarser
        return binned

    def less(self, explained: FloatArray) -> Binned:
        """Return the same without the part of the values that is explained, `(C, n)`."""
        residual = np.where(self.weights > 0, self.values - explained, 0.0)
        explained_squares = (self.weights * (residual**2 - self.values**2)).sum(axis=1)
        return replace(
            self, values=residual, squares=np.maximum(self.squares + explained_squares, 0.0)
        )

    def departures(self, window_us: float) -> tuple[FloatArray, FloatArray]:
        """Return values minus their moving mean, `(C, n)`, and the squares that are left, `(C,)`.

        A mean over whole cycles takes nothing away from a period, so the window keeps its length
        at both ends, where it stands still.
        """
        n = self.values.shape[1]
        window = min(max(2, round(window_us / self.step_us)), n)
        sums, counts = (_windows(total, window) for total in self._running)
        residual = self.values - sums / np.maximum(counts, 1.0)
        residual *= self.weights > 0
        squares_left = self.squares - self._between + (self.weights * residual**2).sum(axis=1)
        return residual, np.maximum(squares_left, 0.0)

    @cached_property
    def _running(self) -> tuple[FloatArray, FloatArray]:
        """Running sums of the values and of their weights, with a 0 before them."""
        first, second = (
            np.pad(np.cumsum(x, axis=1), ((0, 0), (1, 0)))
            for x in (self.values * self.weights, self.weights)
        )
        return first, second

    @cached_property
    def _between(self) -> FloatArray:
        """Sum of squares of the bins' means, `(C,)`."""
        return np.asarray((self.weights * self.values**2).sum(axis=1))


def binned_rows(series: Series, channels: NDArray[np.int64], max_bins: int) -> Binned | None:
    """Return the rows of a key in bins of its usual interval, or of a multiple of it.

    Args:
        series: History of the key.
        channels: Channels to look at.
        max_bins: Most bins; a longer history gets longer ones.

    Returns:
        The bins, or None where no channel moves.
    """
    times = series.time_us
    if len(times) < 2:
        return None
    interval_us = max(1, int(np.median(np.diff(times))))
    bins = int(times[-1] - times[0]) // interval_us + 1
    step_us = interval_us * max(1, -(-bins // max_bins))
    # Half a bin early: times that jitter about their places then fall in one bin each.
    index = (times - times[0] + step_us // 2) // step_us
    n = int(index[-1]) + 1
    standard = _standardised(series.values[:, channels].T)
    present = np.isfinite(standard)
    filled = np.where(present, standard, 0.0)
    is_alike = bool((present == present[:1]).all())
    weights = cell_sums(index, present[: 1 if is_alike else None].astype(float), n)
    values = cell_sums(index, filled, n) / np.maximum(weights, 1.0)
    squares = (filled**2).sum(axis=1)
    if not squares.any():
        return None
    binned = Binned(step_us, values, weights, squares, squares)
    return replace(binned, slow=binned.departures(binned.span_us / CYCLES)[1])


def cell_sums(cell: NDArray[np.int64], x: FloatArray, cells: int) -> FloatArray:
    """Return the sum of each row of `x` in each cell, `(C, cells)`."""
    return np.stack([np.bincount(cell, row, cells) for row in x])


def _windows(total: FloatArray, window: int) -> FloatArray:
    """Return the sum over a window about each place, from running sums; it stops at the ends."""
    sums = total[:, window:] - total[:, :-window]
    before = window // 2
    after = total.shape[1] - 1 - sums.shape[1] - before
    return np.pad(sums, ((0, 0), (before, after)), mode="edge")


def _standardised(values: FloatArray) -> FloatArray:
    """Return values in deviations of their channel, within bounds; 0 where it stands still."""
    present = np.isfinite(values)
    counts = np.maximum(present.sum(axis=1, keepdims=True), 1)
    filled = np.where(present, values, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / counts
    squares = np.where(present, filled - mean, 0.0) ** 2
    deviation = np.sqrt(squares.sum(axis=1, keepdims=True) / counts)
    is_constant = deviation <= 1e-9 * np.maximum(np.abs(mean), 1e-300)
    z = np.where(is_constant, 0.0, (filled - mean) / np.where(is_constant, 1.0, deviation))
    return np.where(present, np.clip(z, -_CLIP, _CLIP), np.nan)
