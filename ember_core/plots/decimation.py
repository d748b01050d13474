"""Series of any length as few points: the smallest and the largest value of each column stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def decimate(x: Floats, y: Floats, columns: int) -> tuple[Floats, Floats]:
    """Keep the smallest and the largest `y` of each column, in their order.

    The result looks like the whole series, however long it is: no peak is lost.

    Args:
        x: Positions, rising, shape `(T,)`.
        y: Values, shape `(T,)`; NaN is a gap.
        columns: Number of columns over the range of `x`.

    Returns:
        The kept `x` and `y`: at most `2 * columns` points, and one NaN per column of NaNs.

    Examples:
        >>> x, y = np.arange(1000.0), np.zeros(1000)
        >>> y[417] = 9.0
        >>> kept_x, kept_y = decimate(x, y, 10)
        >>> len(kept_x), kept_x[kept_y > 0].tolist()
        (11, [417.0])
    """
    if len(x) <= 2 * columns:
        return x, y
    column, starts = _columns(x, columns)
    nan = np.isnan(y)
    low, high = np.where(nan, np.inf, y), np.where(nan, -np.inf, y)
    smallest = np.minimum.reduceat(low, starts)[column]
    largest = np.maximum.reduceat(high, starts)[column]
    index = np.arange(len(x))
    end = len(x)
    # The first point in each column that has the extreme value.
    at_low = np.minimum.reduceat(np.where(~nan & (y == smallest), index, end), starts)
    at_high = np.minimum.reduceat(np.where(~nan & (y == largest), index, end), starts)
    empty = np.logical_and.reduceat(nan, starts)
    extremes = [np.where(empty, starts, row) for row in (at_low, at_high)]
    points = np.unique(np.concatenate(extremes))
    return x[points], y[points]


def decimate_band(
    x: Floats, lower: Floats, upper: Floats, columns: int
) -> tuple[Floats, Floats, Floats]:
    """Return one point a column: the smallest lower and the largest upper bound.

    Args:
        x: Positions, rising, shape `(T,)`.
        lower: Lower bound, `(T,)`; NaN where unknown.
        upper: Upper bound, `(T,)`.
        columns: Number of columns over the range of `x`.

    Returns:
        Position of the first row of each column, and its bounds; NaN where all are.
    """
    if len(x) <= columns:
        return x, lower, upper
    _, starts = _columns(x, columns)
    smallest = np.minimum.reduceat(np.where(np.isnan(lower), np.inf, lower), starts)
    largest = np.maximum.reduceat(np.where(np.isnan(upper), -np.inf, upper), starts)
    unknown = np.isinf(smallest) | np.isinf(largest)
    return x[starts], np.where(unknown, np.nan, smallest), np.where(unknown, np.nan, largest)


def strongest_rows(x: Floats, weight: Floats, columns: int) -> NDArray[np.int64]:
    """Return the index of the row with the largest weight of each column, in order.

    Args:
        x: Positions, rising, shape `(T,)`.
        weight: Weight of each row, `(T,)`; NaN counts as the smallest.
        columns: Number of columns over the range of `x`.
    """
    if len(x) <= columns:
        return np.arange(len(x))
    column, starts = _columns(x, columns)
    weights = np.where(np.isnan(weight), -np.inf, weight)
    largest = np.maximum.reduceat(weights, starts)[column]
    index = np.where(weights == largest, np.arange(len(x)), len(x))
    strongest: NDArray[np.int64] = np.minimum.reduceat(index, starts)
    return strongest


def _columns(x: Floats, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each point's column among those that have points, and their starts."""
    width = max(float(x[-1] - x[0]), 1e-300) / columns
    column = np.minimum(((x - x[0]) / width).astype(np.int64), columns - 1)
    # `reduceat` works on runs: the first point of each column that has any.
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    return np.repeat(np.arange(starts.size), np.diff(np.append(starts, len(x)))), starts
