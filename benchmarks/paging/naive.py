"""The baseline that a careful operator would write: the usual value of this hour of the week."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .calibration import Scored
from .clock import clock_of
from .fleet import DAY_US, Fleet, Floats, KeySeries

HALF_LIFE: Final = 5.0
WEEK_DAYS: Final = 13.5  # of history from which an hour of the week is known
DAY_DAYS: Final = 2.5
NAMED: Final = 3


def naive(fleet: Fleet) -> Scored:
    """Scores of every row: the largest channel's smoothed departure over its own .999 quantile.

    A departure is from the median of the hour of the week in training, in its median absolute
    deviations. Training rows are judged by the other weeks.
    """
    train, test, channel_index = [], [], []
    for series in fleet.keys:
        fitted, scored = _of_key(series, fleet)
        unit = np.maximum(np.quantile(fitted, 0.999, axis=0), 1e-9)
        train.append((fitted / unit).max(axis=1))
        sizes = scored / unit
        test.append(sizes.max(axis=1))
        channel_index.append(np.argsort(-sizes, axis=1, kind="stable")[:, :NAMED])
    return Scored(train, test, channel_index)


def as_rates(values: Floats) -> Floats:
    """The values with the increases of counters in their place: channels that all but never fall.

    Args:
        values: Records of a key, `(n, C)`.
    """
    out = values.copy()
    for i in range(values.shape[1]):
        steps = np.diff(values[:, i])
        steps = steps[np.isfinite(steps)]
        if not steps.size:
            continue
        falls, rises = float(np.mean(steps < 0)), float(np.mean(steps > 0))
        if falls < 1e-3 and rises > 20.0 * falls and rises > 0.01:
            out[1:, i] = np.maximum(np.diff(values[:, i]), 0.0)
            out[0, i] = out[1, i]
    return out


def _of_key(series: KeySeries, fleet: Fleet) -> tuple[Floats, Floats]:
    """Smoothed departures of the training rows, out of their week, and of the scored rows."""
    values, n = as_rates(series.values), int(series.train.sum())
    days = float(series.times_us[n - 1] - series.times_us[0]) / DAY_US
    bins = _bins(series, fleet, days)
    length = 7 * DAY_US if days >= WEEK_DAYS else max(int(days * DAY_US / 4), 1)
    fold = (series.times_us[:n] - series.times_us[0]) // length
    departures = np.empty_like(values)
    for number in np.unique(fold).tolist():
        judged_rows, fit_rows = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if fit_rows.size == 0:
            fit_rows = judged_rows
        departures[judged_rows] = _departures(values, bins, fit_rows, judged_rows)
    departures[n:] = _departures(values, bins, np.arange(n), np.arange(n, len(values)))
    smooth = np.abs(_smoothed(departures))
    return smooth[:n], smooth[n:]


def _bins(series: KeySeries, fleet: Fleet, days: float) -> NDArray[np.int64]:
    """Hour of the week of each row, or of the day, or none where the history is short."""
    clock = clock_of(series.times_us, fleet.step_seconds, fleet.zone)
    hour = clock.hour.astype(np.int64)
    if days >= WEEK_DAYS:
        return clock.weekday * 24 + hour
    return hour if days >= DAY_DAYS else np.zeros_like(hour)


def _departures(
    values: Floats, bins: NDArray[np.int64], fit: NDArray[np.int64], rows: NDArray[np.int64]
) -> Floats:
    """Departures of some rows from the medians of others, in their deviations; 0 where missing."""
    fit_values = values[fit]
    low, mid, high = np.nanquantile(fit_values, [0.01, 0.5, 0.99], axis=0)
    floor = np.maximum(0.05 * (high - low), 1e-9)
    size = bins.max() + 1
    centre, scale = np.tile(mid, (size, 1)), np.tile(floor, (size, 1))
    for bin_number in np.unique(bins[fit]).tolist():
        part = fit_values[bins[fit] == bin_number]
        if len(part) < 5:
            continue
        median = np.nanmedian(part, axis=0)
        spread = 1.4826 * np.nanmedian(np.abs(part - median), axis=0)
        centre[bin_number] = np.where(np.isfinite(median), median, mid)
        scale[bin_number] = np.fmax(spread, floor)
    out: Floats = np.nan_to_num((values[rows] - centre[bins[rows]]) / scale[bins[rows]])
    return out


def _smoothed(x: Floats) -> Floats:
    """Leaky mean with a half-life of five rows, `(n, C)`."""
    keep = 2.0 ** (-1.0 / HALF_LIFE)
    weights = (1.0 - keep) * keep ** np.arange(round(12 * HALF_LIFE))
    return np.stack([np.convolve(column, weights)[: len(x)] for column in x.T], axis=1)
