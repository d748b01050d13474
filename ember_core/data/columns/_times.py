"""Times as numbers: their place in day, week, month and year, and their components."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CYCLES = ("hour", "dayofweek", "day", "month")
COMPONENTS = (
    "year",
    "quarter",
    "month",
    "day",
    "dayofweek",
    "hour",
    "minute",
    "second",
    "epoch",
)
_DAY_US = 86_400_000_000
MISSING = np.iinfo(np.int64).min
"""Number that marks a missing time (NumPy's NaT)."""


def cyclical(time_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sine and cosine of each time's place in its cycles.

    `hour` is the share of the day that has passed (whole hours: hour / 24), `dayofweek` Monday's
    0 to Sunday's 6 of 7, `day` the day less one of the days of that month, `month` the month less
    one of 12: the value after the last of a cycle is the first, and no two are one.

    Args:
        time_us: Microseconds since the epoch, UTC, `(n,)`; `MISSING` where there is none.

    Returns:
        float64 `(n, 8)`: sine and cosine of each of `CYCLES`; 0, the middle of the circle, where
        there is no time.

    Examples:
        >>> noon = 43_200_000_000  # Thursday, 1 January 1970
        >>> cyclical(np.array([noon]))[0, :2].round(6).tolist()
        [0.0, -1.0]
    """
    present = time_us != MISSING
    times = np.where(present, time_us, 0)
    days, _ = np.divmod(times, _DAY_US)
    _, month, day, length = _calendar(times)
    shares = (
        (times - days * _DAY_US) / _DAY_US,
        (days + 3) % 7 / 7.0,  # the epoch was a Thursday
        (day - 1) / length,
        (month - 1) / 12.0,
    )
    angles = 2.0 * np.pi * np.stack(shares, axis=1)
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(times), -1)
    return np.where(present[:, None], waves, 0.0)


def components(time_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Parts of each time as numbers.

    Args:
        time_us: Microseconds since the epoch, UTC, `(n,)`; `MISSING` where there is none.

    Returns:
        float64 `(n, 9)`, in the order of `COMPONENTS`: `dayofweek` is 0 for Monday, `second` has
        its fraction, `epoch` is seconds since 1970. NaN where there is no time.
    """
    present = time_us != MISSING
    times = np.where(present, time_us, 0)
    days = times // _DAY_US
    year, month, day, _ = _calendar(times)
    second = (times - days * _DAY_US) / 1e6
    parts = np.stack(
        [
            year,
            (month - 1) // 3 + 1,
            month,
            day,
            (days + 3) % 7,
            second // 3600,
            second // 60 % 60,
            second % 60,
            times / 1e6,
        ],
        axis=1,
    )
    return np.where(present[:, None], parts, np.nan)


def _calendar(
    times: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Year, month, day of the month, and days of that month."""
    stamps = times.astype("datetime64[us]")
    months = stamps.astype("datetime64[M]")
    month = months.astype(np.int64)
    start = months.astype("datetime64[D]")
    day = (stamps.astype("datetime64[D]") - start).astype(np.int64) + 1
    length = ((months + 1).astype("datetime64[D]") - start).astype(np.int64)
    return month // 12 + 1970, month % 12 + 1, day, length
