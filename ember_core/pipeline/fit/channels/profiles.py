"""Profiles of day and week: of each key, of each fold of its history, and of the fleet."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

DAY_US: Final = 86_400_000_000
DAYS_FOR_DAY: Final = 2.5
DAYS_FOR_WEEK: Final = 13.5
FEWEST: Final = 3
"""Values in a bin from which it has a profile."""
MOST: Final = 6.0
"""Usual units beyond which a value of a discrete channel counts no further."""
RANK: Final = 3
FLEET: Final = 8
"""Keys from which profiles are cut to `RANK`."""

FloatArray = NDArray[np.float64]
Indices = NDArray[np.int64]


class Profile(NamedTuple):
    """Usual values of a key.

    Attributes:
        level: Median of each channel, `(C,)`.
        day: Departure from it by bin of the day, `(D, C)`.
        week: Departure from both by bin of the week, `(W, C)`; no bins where there is no profile.
    """

    level: FloatArray
    day: FloatArray
    week: FloatArray


class Bins(NamedTuple):
    """Bins of the rows of a key, and the number of bins.

    Attributes:
        day: Bin of the day of each row, `(T,)`.
        week: Bin of the week of each row, `(T,)`.
        days: Bins of a day.
        weeks: Bins of a week; 0: there is no weekly profile.
    """

    day: Indices
    week: Indices
    days: int
    weeks: int

    def rows(self, part: Any) -> Bins:
        """Return those of some rows."""
        return Bins(self.day[part], self.week[part], self.days, self.weeks)


def find_folds(time_us: Indices, *, has_week: bool) -> Indices:
    """Return the fold of each row: its profile is made without the rows of its fold.

    Whole weeks where the history has two, else every n-th day, else quarters.
    """
    span = (time_us[-1] - time_us[0]) / DAY_US
    day = time_us // DAY_US - time_us[0] // DAY_US
    if span >= DAYS_FOR_WEEK and has_week:
        return np.asarray(np.minimum(day // 7, int(span + 0.5) // 7 - 1))
    if span >= DAYS_FOR_DAY + 1.0:
        return np.asarray(day % min(7, int(span)))
    return np.arange(len(time_us)) * 4 // len(time_us)


def fit_profile(y: FloatArray, bins: Bins, discrete: NDArray[np.bool_], level: Any) -> Profile:
    """Return the profiles of a key's rows.

    Medians of the bins; means where a channel has few values, since medians of counts are steps.

    Args:
        y: Transformed values, `(T, C)`, in usual units.
        bins: Bins of the rows.
        discrete: Channels of few values, `(C,)`.
        level: Level of each channel, `(C,)`: of the whole history, also in a fold. With levels of
            folds a filling disk jumped at their seams.
    """
    residual = y - level
    day = np.zeros((bins.days, y.shape[1]))
    week = np.zeros((bins.weeks, y.shape[1]))
    for c in range(y.shape[1]):
        middle = _means if discrete[c] else _medians
        if bins.days > 1:
            day[:, c] = middle(residual[:, c], bins.day, bins.days)
            residual[:, c] -= day[bins.day, c]
        if bins.weeks:
            week[:, c] = middle(residual[:, c], bins.week, bins.weeks)
    return Profile(np.asarray(level), day, week)


def _medians(y: FloatArray, bins: Indices, count: int) -> FloatArray:
    """Return the median by bin, `(count,)`; 0 where a bin has few values."""
    finite = np.isfinite(y)
    y, bins = y[finite], bins[finite]
    order = np.lexsort((y, bins))
    y = y[order]
    n = np.bincount(bins, minlength=count)
    start = np.cumsum(n) - n
    enough = n >= FEWEST
    first = np.where(enough, start + (n - 1) // 2, 0)
    second = np.where(enough, start + n // 2, 0)
    if not len(y):
        return np.zeros(count)
    return np.where(enough, 0.5 * (y[first] + y[second]), 0.0)


def _means(y: FloatArray, bins: Indices, count: int) -> FloatArray:
    """Return the mean by bin of bounded values, `(count,)`; 0 where a bin has few values."""
    finite = np.isfinite(y)
    n = np.bincount(bins[finite], minlength=count)
    total = np.bincount(bins[finite], np.clip(y[finite], -MOST, MOST), minlength=count)
    return np.where(n >= FEWEST, total / np.maximum(n, 1), 0.0)


def cut_rank(profiles: list[Profile]) -> tuple[FloatArray, FloatArray]:
    """Return the profiles that a fleet's keys are made of.

    Args:
        profiles: Those of its keys.

    Returns:
        Profiles `(C, r, D + W)`, and the share of each that a key has, `(K, C, r)`.
    """
    stacked = np.stack([np.concatenate([p.day, p.week]) for p in profiles])  # (K, D + W, C)
    rank = RANK if len(profiles) >= FLEET else len(profiles)
    basis = np.zeros((stacked.shape[2], rank, stacked.shape[1]))
    loadings = np.zeros((len(profiles), stacked.shape[2], rank))
    for c in range(stacked.shape[2]):
        u, s, v = np.linalg.svd(stacked[:, :, c], full_matrices=False)
        r = min(rank, len(s))
        basis[c, :r], loadings[:, c, :r] = v[:r], u[:, :r] * s[:r]
    return basis, loadings


class Mode(NamedTuple):
    """Share of the profiles that a channel's expectation has."""

    day: float
    week: float


NONE, DAY, HALF_WEEK, WEEK = Mode(0.0, 0.0), Mode(1.0, 0.0), Mode(1.0, 0.5), Mode(1.0, 1.0)


def expectation(basis: FloatArray, loadings: FloatArray, bins: Bins, mode: Mode) -> FloatArray:
    """Return the seasonal part of a key's expectation, `(T, C)`.

    Args:
        basis: Profiles of the fleet, `(C, r, D + W)`.
        loadings: Shares of the key, `(C, r)`.
        bins: Bins of its rows.
        mode: Share of day and week.
    """
    profile = np.einsum("cr,crb->bc", loadings, basis)
    out = np.asarray(mode.day * profile[bins.day])
    if bins.weeks and mode.week:
        out = out + mode.week * profile[bins.days + bins.week]
    return out


def seasonal(basis: FloatArray, loadings: FloatArray, bins: Bins, modes: list[Mode]) -> FloatArray:
    """Return the seasonal part of a key's expectation, each channel by its own mode, `(T, C)`.

    Args:
        basis: Profiles of the fleet, `(C, r, D + W)`.
        loadings: Shares of the key, `(C, r)`.
        bins: Bins of its rows.
        modes: Share of day and week that each channel has.
    """
    out = np.empty((len(bins.day), len(modes)))
    for mode in set(modes):
        is_mode = [m == mode for m in modes]
        out[:, is_mode] = expectation(basis, loadings, bins, mode)[:, is_mode]
    return out


def combined(basis: FloatArray, modes: list[Mode], days: int, weeks: int) -> FloatArray:
    """Return one table of profiles by bin of the week, `(W, C, r)`; of the day without weeks.

    Args:
        basis: Profiles of the fleet, `(C, r, D + W)`.
        modes: Share of day and week that each channel has.
        days: Bins of a day.
        weeks: Bins of a week, or 0.
    """
    bins = weeks or days
    table = np.zeros((bins, *basis.shape[:2]))
    for c, mode in enumerate(modes):
        table[:, c] = mode.day * basis[c][:, np.arange(bins) % days].T
        if weeks:
            table[:, c] += mode.week * basis[c][:, days:].T
    return table
