"""Statistics of every window of rows, for whole series at once.

A window's statistics are merged from those of its halves (Chan, Golub and LeVeque 1979), log2(W)
times: nothing is added and taken off again, so there is no drift and no cancellation, and a
window's bits depend on its own rows only, however the series was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ember_core import ops
from ember_core.ops import Array

Statistic = Literal["mean", "std", "min", "max", "slope", "departure"]
STATISTICS: tuple[str, ...] = get_args(Statistic)


@dataclass(frozen=True)
class _Runs:
    """Statistics of every run of `size` rows, `dilation` apart: arrays `(n, C)`, or None."""

    size: int
    total: Array | None = None
    squares: Array | None = None  # sum of squared departures from the mean
    trend: Array | None = None  # sum of (place - mean place) * (value - mean)
    low: Array | None = None
    high: Array | None = None

    def joined(self, later: _Runs, wanted: frozenset[str], dilation: int) -> _Runs:
        """Runs of these rows and the `later.size` rows after them."""
        p, q, shift = self.size, later.size, self.size * dilation
        total = squares = trend = low = high = None
        if self.total is not None and later.total is not None:
            shifted = later.total[shift:]
            head = self.total[: shifted.shape[0]]
            total = head + shifted
            if wanted & {"std", "slope"}:
                # Of the means, times p. Fresh arrays are changed in place: half the time.
                step = shifted - head if p == q else shifted * (p / q) - head
                if "std" in wanted:
                    squares = ops.square(step)
                    squares *= q / (p * (p + q))
                    squares = _added(squares, self.squares, later.squares, shift)
                if "slope" in wanted:
                    step *= q / 2
                    trend = _added(step, self.trend, later.trend, shift)
        if self.low is not None and later.low is not None:
            shifted = later.low[shift:]
            low = ops.minimum(_head(self.low, shifted), shifted)
        if self.high is not None and later.high is not None:
            shifted = later.high[shift:]
            high = ops.maximum(_head(self.high, shifted), shifted)
        return _Runs(p + q, total, squares, trend, low, high)


def _added(x: Array, before: Array | None, after: Array | None, shift: int) -> Array:
    """`x`, and added to it what the two parts had; a single row has nothing."""
    if before is not None:
        x += _head(before, x)
    if after is not None:
        x += after[shift:]
    return x


def _head(x: Array, like: Array) -> Array:
    return x[: like.shape[0]]


def rolling(
    x: Array,
    window: int,
    statistics: Sequence[str],
    *,
    dilation: int = 1,
    hop: int = 1,
    out: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Statistics of each window of `window` rows, `dilation` rows apart.

    Args:
        x: Rows `(n, C)` of any backend, floating point.
        window: Rows in a window, `W`, at least 2.
        statistics: Names among `mean`, `std` (divided by `W`), `min`, `max`, `slope` (least
            squares, per row of the window) and `departure` (newest row minus mean).
        dilation: Distance of a window's rows.
        hop: Distance of the windows.
        out: Arrays for the results, by name, `(n_windows, C)` each; for NumPy's arrays.

    Returns:
        By name, `(n_windows, C)` with `n_windows = (n - (W - 1) * dilation - 1) // hop + 1`;
        window `k` begins at row `k * hop`.

    Examples:
        >>> from ember_core import ops
        >>> x = ops.asarray([[1.0], [2.0], [6.0], [7.0]], dtype="float32")
        >>> rolling(x, 3, ["mean", "departure"])["departure"].tolist()
        [[3.0], [2.0]]
    """
    span = (window - 1) * dilation + 1
    n = x.shape[0]
    if n < span:
        return dict.fromkeys(statistics, x[:0])
    wanted_statistics = frozenset(statistics)
    runs = _windows(x, window, wanted_statistics, dilation)
    results: dict[str, Array] = {}
    room = out or {}
    mean = None
    if runs.total is not None:
        mean = _times(runs.total[::hop], 1.0 / window, room.get("mean"))
    for name in statistics:
        if name == "mean":
            results[name] = mean
        elif name == "departure":
            newest = x[span - 1 :: hop]
            results[name] = _less(newest, mean, room.get(name))
        elif name == "std" and runs.squares is not None:
            variance = _times(runs.squares[::hop], 1.0 / window, room.get(name))
            results[name] = ops.sqrt(variance) if name not in room else np.sqrt(variance, variance)
        elif name == "slope" and runs.trend is not None:
            factor = 12.0 / (window * (window * window - 1.0))
            results[name] = _times(runs.trend[::hop], factor, room.get(name))
        elif name == "min" and runs.low is not None:
            results[name] = _times(runs.low[::hop], 1.0, room.get(name))
        elif name == "max" and runs.high is not None:
            results[name] = _times(runs.high[::hop], 1.0, room.get(name))
    return results


def _times(x: Array, factor: float, out: Array | None) -> Array:
    return x * factor if out is None else np.multiply(x, factor, out=out)


def _less(x: Array, y: Array, out: Array | None) -> Array:
    return x - y if out is None else np.subtract(x, y, out=out)


def _windows(x: Array, window: int, wanted: frozenset[str], dilation: int) -> _Runs:
    """Runs of `window` rows, by the binary digits of `window`."""
    moments = wanted & {"mean", "std", "slope", "departure"}
    power = _Runs(
        1,
        total=x if moments else None,
        low=x if "min" in wanted else None,
        high=x if "max" in wanted else None,
    )
    runs: _Runs | None = None
    while True:
        if window & power.size:
            runs = power if runs is None else runs.joined(power, wanted, dilation)
        if 2 * power.size > window:
            break
        power = power.joined(power, wanted, dilation)
    assert runs is not None
    return runs
