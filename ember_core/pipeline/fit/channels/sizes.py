"""Sizes of departures: of each key, by time of day, and at their largest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ember_core.pipeline.evidence.signals import SPREAD
from ember_core.pipeline.fit.incidents import Flags, kept_rows
from ember_core.pipeline.stage import State

from .padded import padded
from .profiles import Bins

SMALLEST = 0.02
"""Smallest size of a departure, in usual units."""
_QUANTILE = 0.99
_FAST_QUANTILE, _FAST_ROWS = 0.999, 20
FAST = [0, 4, 5, 6]
"""Signals of single rows, and the own part over 5 rows."""


LEAST_EXTREMES = (2.5, 1.5, 0.7, 0.35, 2.5, 2.5, 1.5, 0.7, 0.06)
"""Usual 99 % quantiles of the signals of normal noise, and of the spread, in usual sizes."""
_LEAST_SHARE = 0.3  # of them that extremes have at the least


def medians(y: Any) -> Any:
    """Return the median of the finite values of each channel, `(C,)`; 0 where there are none."""
    finite = np.isfinite(y)
    return np.array(
        [np.median(y[finite[:, c], c]) if finite[:, c].any() else 0.0 for c in range(y.shape[1])]
    )


def deviations(y: Any) -> Any:
    """Return the deviation of each channel, `(C,)`, above 0."""
    finite = np.isfinite(y)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, y, 0.0).sum(axis=0) / count
    variance = (np.where(finite, y - mean, 0.0) ** 2).sum(axis=0) / count
    return np.where(variance > 0, np.sqrt(variance), 1e-3 * np.abs(mean) + 1e-6)


def least_extremes(found: Any) -> Any:
    """Return extremes `(K, 9, C)` that are not below a share of those of normal noise."""
    return np.maximum(found, _LEAST_SHARE * np.array(LEAST_EXTREMES)[None, :, None])


def departures(z: Any, elapsed: Any, half_life: Any, far: float, day_size: Any = 1.0) -> Any:
    """Return the departures of rows from an anchor that follows them, `(T, K, C)`.

    Args:
        z: Rows of keys, `(T, K, C)`; NaN where missing.
        elapsed: Usual intervals before each row, `(T, K)`.
        half_life: Half-life of each channel's anchor, `(C,)`; 0: it has none.
        far: Departure beyond which a row moves the anchor no further.
        day_size: Usual size at the time of day of each row over the key's own, `(T, K, C)`:
            departures are over it.
    """
    out = np.empty_like(z)
    level, value_count = np.zeros_like(z[0]), np.zeros_like(z[0])
    lasting = np.zeros_like(z[0])
    has_anchor = half_life > 0
    bounded = np.maximum(half_life, 1.0)
    sizes = np.broadcast_to(day_size, z.shape)
    for x, dt, size, result in zip(z, elapsed, sizes, out, strict=True):
        present = np.isfinite(x) & has_anchor
        level = np.where(present & (value_count == 0), x, level)
        distance = x - level
        result[...] = distance / size
        value_count = value_count + present
        gain = 1.0 - np.exp2(-dt[:, None] / bounded)
        gain = np.where(
            value_count < half_life + 2.0,
            np.maximum(gain, 1.0 / np.maximum(value_count, 1.0)),
            gain,
        )
        step = np.where(present, distance, 0.0)
        if np.isfinite(far):
            bound = far * size
            longer = np.where(
                np.abs(step) > bound, lasting + dt[:, None], lasting - 2.0 * dt[:, None]
            )
            lasting = np.maximum(longer, 0.0)
            step = np.where(lasting >= half_life, step, np.clip(step, -bound, bound))
        level = (level + np.minimum(gain, 1.0) * step).astype(z.dtype)
    return out


def usual_sizes(
    residuals: Sequence[Any], elapsed: Sequence[Any], half_life: Any, settle: float, discrete: Any
) -> Any:
    """Return the usual size of the departures of keys, `(K, C)`, in usual units.

    Args:
        residuals: Rows of each key less their expectation, `(T, C)` each.
        elapsed: Usual intervals before each row, `(T,)` each.
        half_life: Half-life of each channel's anchor, `(C,)`.
        settle: Rows at the start that do not count.
        discrete: Channels of few values, `(C,)`.
    """
    distance = np.abs(departures(padded(residuals), padded(elapsed, 0.0), half_life, np.inf))
    out = np.ones((len(residuals), distance.shape[2]))
    for k, rows in enumerate(residuals):
        begin = int(min(len(rows) // 10, settle))
        for c in range(distance.shape[2]):
            x = distance[begin : len(rows), k, c]
            x = x[np.isfinite(x)]
            if not len(x):
                continue
            size = max(1.4826 * float(np.median(x)), float(np.quantile(x, _QUANTILE)) / 4.0)
            if discrete[c]:
                size = max(size, float(np.std(np.minimum(x, 5.0))))
            out[k, c] = max(size, SMALLEST)
    return out


def usual_changes(z: Any, day_size: Any) -> Any:
    """Return the mean change between rows, `(C,)`, of `(T, C)`: jumps count as the largest 5 %.

    Args:
        z: Rows of a key, in usual sizes.
        day_size: Usual size at their time of day over the key's own.
    """
    change = np.abs(np.diff(z, axis=0)) / day_size[1:]
    out = np.zeros(z.shape[1])
    for c in range(z.shape[1]):
        x = change[np.isfinite(change[:, c]), c]
        if len(x):
            out[c] = np.minimum(x, np.quantile(x, 0.95)).mean()
    return out


def day_sizes(
    scaled: Sequence[Any], elapsed: Sequence[Any], bins: Sequence[Bins], half_life: Any
) -> Any:
    """Return the size of departures by bin of the day over the usual one, `(D, C)`, of a fleet.

    Args:
        scaled: Rows of each key in usual sizes, `(T, C)` each.
        elapsed: Usual intervals before each row.
        bins: Bins of the rows.
        half_life: Half-life of each channel's anchor.
    """
    distance = np.abs(departures(padded(scaled), padded(elapsed, 0.0), half_life, 3.0))
    days = bins[0].days
    by_key = np.full((len(scaled), days, distance.shape[2]), np.nan)
    for k, key in enumerate(bins):
        order = np.argsort(key.day, kind="stable")
        edges = np.searchsorted(key.day[order], np.arange(days + 1))
        rows = distance[: len(key.day), k][order]
        for b in range(days):
            if edges[b + 1] - edges[b] >= 3:
                by_key[k, b] = _nanmedian(rows[edges[b] : edges[b + 1]])
    shape = _nanmedian(by_key)
    shape = np.where(np.isfinite(shape), shape, 1.0)
    if days > 50:
        shape = (shape + 0.5 * np.roll(shape, 1, axis=0) + 0.5 * np.roll(shape, -1, axis=0)) / 2.0
    middle = np.median(shape, axis=0)
    return np.where(middle > 1e-6, np.clip(shape / np.maximum(middle, 1e-6), 0.6, 5.0), 1.0)


def extremes(values: Any, marked: Flags) -> Any:
    """Return the size that each signal and the spread seldom pass, `(9, C)`, of `(T, 9, C)`.

    Bursts of single rows are seldom and large: fast signals are put over a size that twenty rows of
    the history pass, one in a thousand at most. So a channel that bursts is not the measure of one
    that never does.

    Args:
        values: Signals and spread of a key's rows.
        marked: Rows that do not count, `(T,)`.
    """
    begin = 200 if len(values) > 2000 else min(20, len(values) // 2)
    size = np.abs(kept_rows(values[begin:], marked[begin:]))
    out = np.quantile(size, _QUANTILE, axis=0)
    fast = np.clip(1.0 - _FAST_ROWS / len(size), _QUANTILE, _FAST_QUANTILE)
    out[FAST] = np.quantile(size[:, FAST], fast, axis=0)
    return out


def signal_extremes(rows: State, marked: Flags) -> Any:
    """Return the extremes of a key's signals and spread, `(9, C)`.

    Args:
        rows: Fields of the stage after each row: `signals` `(T, 8, C)` and `channel_averages`.
        marked: Rows that do not count, `(T,)`.
    """
    spread = rows["channel_averages"][:, SPREAD]
    return extremes(np.concatenate([rows["signals"], spread[:, None]], axis=1), marked)


def frozen_runs(runs: Any) -> tuple[Any, Any]:
    """Return the longest usual run of equal values and the share of repeats, `(C,)` each."""
    return np.quantile(runs, 0.999, axis=0), (runs > 0).mean(axis=0)


def _nanmedian(x: Any) -> Any:
    """Return the median of finite values over the first axis; NaN where there are none."""
    finite = np.isfinite(x)
    ordered = np.sort(np.where(finite, x, np.inf), axis=0)
    n = finite.sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum(n - 1, 0)[None] // 2, axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(n // 2, len(x) - 1)[None], axis=0)[0]
    return np.where(n > 0, 0.5 * (low + high), np.nan)
