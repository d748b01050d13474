"""Statistics of numeric columns, gathered in one pass over chunks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._quantiles import QuantileSketch

Numbers = NDArray[np.float64]


class ColumnStats:
    """Count, mean, spread and range per column, NaN left out; quantiles where asked for.

    Args:
        width: Columns, `C`.
        quantiles: Also keep a `QuantileSketch` per column.
    """

    def __init__(self, width: int, *, quantiles: bool = False) -> None:
        self.count = np.zeros(width)
        self.missing = np.zeros(width)
        self.mean = np.zeros(width)
        self.squares = np.zeros(width)
        self.low = np.full(width, np.inf)
        self.high = np.full(width, -np.inf)
        self.sketches = [QuantileSketch() for _ in range(width)] if quantiles else []

    def add(self, x: NDArray[Any], times: NDArray[Any] | None = None) -> None:
        """Take in rows.

        Args:
            x: `(n, C)`.
            times: Weight of each row, whole numbers `(n,)`; None for 1.
        """
        x = np.asarray(x, np.float64)
        present = ~np.isnan(x)
        weight = present.astype(np.float64) if times is None else present * times[:, None]
        count = weight.sum(axis=0)
        rows = len(x) if times is None else times.sum()
        self.missing += rows - count
        safe = np.maximum(count, 1.0)
        filled = np.where(present, x, 0.0)
        mean = (filled * weight).sum(axis=0) / safe
        squares = (np.where(present, x - mean, 0.0) ** 2 * weight).sum(axis=0)
        self._join(count, mean, squares)
        if len(x):
            self.low = np.fmin(self.low, np.where(present, x, np.inf).min(axis=0))
            self.high = np.fmax(self.high, np.where(present, x, -np.inf).max(axis=0))
        for c, sketch in enumerate(self.sketches):
            sketch.add(x[:, c] if times is None else np.repeat(x[:, c], times))

    def _join(self, count: Numbers, mean: Numbers, squares: Numbers) -> None:
        """Chan, Golub and LeVeque 1979."""
        total = np.maximum(self.count + count, 1.0)
        step = mean - self.mean
        self.squares += squares + step**2 * self.count * count / total
        self.mean += step * count / total
        self.count += count

    def quantiles(self, q: list[float]) -> Numbers:
        """`(Q, C)`; NaN for a column without values."""
        return np.stack([sketch.quantiles(q) for sketch in self.sketches], axis=1)

    def filled(self, fill: Numbers) -> FilledStats:
        """The statistics as they are once every gap holds `fill` `(C,)`."""
        return FilledStats(self, fill, self.missing)

    def observed(self) -> FilledStats:
        """Statistics of the present values."""
        return FilledStats(self, np.zeros_like(self.mean), np.zeros_like(self.missing))


class FilledStats:
    """Statistics of columns whose gaps are filled, without a second pass.

    Args:
        stats: Statistics of the present values.
        fill: Value put into gaps, `(C,)`.
        gaps: Number of gaps, `(C,)`.
    """

    def __init__(self, stats: ColumnStats, fill: Numbers, gaps: Numbers) -> None:
        n = stats.count + gaps
        safe = np.maximum(n, 1.0)
        step = fill - stats.mean
        self.count = n
        self.mean = np.where(stats.count > 0, stats.mean + step * gaps / safe, fill)
        spread = stats.squares + step**2 * stats.count * gaps / safe
        self.std = np.sqrt(np.where(stats.count > 0, spread, 0.0) / safe)
        self.low = np.where(gaps > 0, np.minimum(stats.low, fill), stats.low)
        self.high = np.where(gaps > 0, np.maximum(stats.high, fill), stats.high)
        self._stats, self._fill, self._gaps = stats, fill, gaps

    def quantiles(self, q: list[float]) -> Numbers:
        """`(Q, C)`."""
        estimates = [
            sketch.quantiles(q, (float(fill), int(gaps)))
            for sketch, fill, gaps in zip(self._stats.sketches, self._fill, self._gaps, strict=True)
        ]
        return np.stack(estimates, axis=1)
