"""Civil time on an even grid: hours, days of the week and holidays of a zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from .fleet import DAY_US, Floats, Times

HOUR_US: Final = DAY_US // 24

ZONES: Final = ("Europe/Berlin", "America/New_York")
# Clock changes of 2025 by zone, and days off.
CHANGES: Final = {
    "Europe/Berlin": (date(2025, 3, 30), date(2025, 10, 26)),
    "America/New_York": (date(2025, 3, 9), date(2025, 11, 2)),
}
HOLIDAYS: Final[dict[str, tuple[date, ...]]] = {
    "UTC": (),
    "Europe/Berlin": (
        *(date(2025, 1, 1), date(2025, 4, 18), date(2025, 4, 21), date(2025, 5, 1)),
        *(date(2025, 5, 29), date(2025, 6, 9), date(2025, 10, 3)),
        *(date(2025, 12, 25), date(2025, 12, 26), date(2026, 1, 1)),
    ),
    "America/New_York": (
        *(date(2025, 1, 1), date(2025, 1, 20), date(2025, 2, 17), date(2025, 5, 26)),
        *(date(2025, 6, 19), date(2025, 7, 4), date(2025, 9, 1), date(2025, 11, 11)),
        *(date(2025, 11, 27), date(2025, 12, 25), date(2026, 1, 1)),
    ),
}


@dataclass(frozen=True, eq=False)
class Clock:
    """Times of an even grid and what they are in civil time. `n` rows.

    Attributes:
        step: Seconds between two rows.
        times_us: Microseconds since the epoch, `(n,)`.
        hour: Hour of the local day with its fraction, `(n,)`.
        weekday: 0 Monday to 6 Sunday, a holiday as 6, `(n,)`.
        month_day: Day of the month, `(n,)`.
        day: Local days since the first row's, `(n,)`.
        zone: The zone.
        holidays: Its days off.
    """

    step: float
    times_us: Times
    hour: Floats
    weekday: NDArray[np.int64]
    month_day: NDArray[np.int64]
    day: NDArray[np.int64]
    zone: str
    holidays: tuple[date, ...]

    def rows(self, seconds: float) -> int:
        """Number of rows in a span, at least 1."""
        return max(1, round(seconds / self.step))

    def local_rows(self, hour: float) -> NDArray[np.int64]:
        """First row at or after an hour of each local day that the grid holds."""
        noons = self.day + (self.hour >= hour)
        rises = np.flatnonzero(np.diff(noons) > 0) + 1
        return rises[np.abs(self.hour[rises] - hour) < 1.5]


def made(rng: np.random.Generator, days: float, step: float) -> Clock:
    """Draw a zone and a first day of the year 2025; half of them have a clock change inside.

    Args:
        rng: Source of the draw.
        days: Length of the grid.
        step: Seconds between two rows.
    """
    zone = ZONES[int(rng.integers(len(ZONES)))]
    if rng.random() < 0.5:
        change = CHANGES[zone][int(rng.integers(2))]
        first = change - timedelta(days=int(rng.integers(1, max(2, int(days)))))
    else:
        first = date(2025, 1, 1) + timedelta(days=int(rng.integers(0, 330)))
    begin = datetime(first.year, first.month, first.day, int(rng.integers(24)), tzinfo=UTC)
    n = round(days * 86_400 / step)
    times_us = int(begin.timestamp()) * 1_000_000 + np.round(np.arange(n) * step * 1e6).astype(
        np.int64
    )
    return clock_of(times_us, step, zone)


def clock_of(times_us: Times, step: float, zone: str) -> Clock:
    """Read given times in civil time.

    Args:
        times_us: Rising times, `(n,)`.
        step: Seconds between two rows.
        zone: The zone.
    """
    # Zones of ours move by whole hours at whole hours: one offset serves an hour of UTC.
    hours, hour_index = np.unique(times_us // HOUR_US, return_inverse=True)
    info = ZoneInfo(zone)
    moments = [datetime.fromtimestamp(int(h) * 3600, tz=info) for h in hours]
    offsets = np.array(
        [round((m.utcoffset() or timedelta()).total_seconds()) for m in moments], dtype=np.int64
    )
    local = times_us + offsets[hour_index] * 1_000_000
    day = local // DAY_US
    days, day_place = np.unique(day, return_inverse=True)
    dates = [date(1970, 1, 1) + timedelta(days=int(d)) for d in days]
    free = HOLIDAYS[zone]
    weekday = np.array([6 if d in free else d.weekday() for d in dates], dtype=np.int64)
    month_day = np.array([d.day for d in dates], dtype=np.int64)
    return Clock(
        step=step,
        times_us=times_us,
        hour=(local % DAY_US) / HOUR_US,
        weekday=weekday[day_place],
        month_day=month_day[day_place],
        day=day - day[0],
        zone=zone,
        holidays=tuple(d for d in free if dates[0] <= d <= dates[-1]),
    )
