"""Civil time: the hour of the day and of the week that people live by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import zone_of

DAY_SECONDS: Final = 86_400
WEEK_DAYS: Final = 7
SUNDAY: Final = 6

_SECOND_US = 1_000_000
_DAY_US = DAY_SECONDS * _SECOND_US
_FIRST_WEEKDAY = 3  # 1 January 1970 was a Thursday
_YEARS = (1970, 2100)
# Distance of the times at which a zone is asked for its offset. No zone has changed its clock
# twice in a shorter time since 1970.
_STEP = timedelta(days=1)

Times = NDArray[np.int64]


class Transitions(NamedTuple):
    """Changes of a zone's clock.

    Attributes:
        at_us: Times of the changes, `(N,)`, increasing, in microseconds since the epoch.
        offset_us: Local time minus UTC before the first change and after each, `(N + 1,)`.
    """

    at_us: Times
    offset_us: Times


@dataclass(frozen=True)
class CivilCalendar:
    """Local time of one zone, with daylight saving, and days that count as Sundays.

    Attributes:
        zone: Name of the zone in the IANA database.
        holidays: Days of that zone that count as Sundays: dates, or text such as `2026-12-25`.

    Raises:
        ValueError: If there is no such zone, or a holiday is no date.

    Examples:
        >>> import numpy as np
        >>> calendar = CivilCalendar("Europe/Berlin", ("2026-12-25",))
        >>> moments = np.array(["2026-07-06T22:30", "2026-12-25T00:30"], dtype="datetime64[us]")
        >>> day, week = calendar.bins(moments.astype(np.int64), bin_seconds=3600)
        >>> day.tolist(), week.tolist()  # Tuesday at 00:30, and a Friday that counts as Sunday
        ([0, 1], [24, 145])
    """

    zone: str = "UTC"
    holidays: tuple[date, ...] = ()

    def __post_init__(self) -> None:
        """Check the zone, and bring the holidays in order."""
        zone_of(self.zone)
        holidays = tuple(sorted({_as_date(holiday) for holiday in self.holidays}))
        object.__setattr__(self, "holidays", holidays)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for `model.json`."""
        return {"zone": self.zone, "holidays": [day.isoformat() for day in self.holidays]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> CivilCalendar:
        """Make a calendar from `as_json`."""
        return cls(values["zone"], tuple(values["holidays"]))

    def local_us(self, times_us: Any) -> Times:
        """Return what the local clock shows, in microseconds since 1 January 1970 of that clock.

        Args:
            times_us: Times in microseconds since the epoch, `(B,)`. Outside the years 1970 to
                2100 the nearest known offset holds.
        """
        times = np.asarray(times_us, dtype=np.int64)
        transitions = transitions_of(self.zone)
        index = np.searchsorted(transitions.at_us, times, side="right")
        return times + transitions.offset_us[index]

    def bins(self, times_us: Any, bin_seconds: int) -> tuple[Times, Times]:
        """Return the bin of the day and the bin of the week of each time.

        A day has `bins_of_day(bin_seconds)` bins, a week seven times as many, from Monday on. The
        hour that comes twice in autumn falls in the same bins twice; the one that is left out in
        spring has no times.

        Args:
            times_us: Times in microseconds since the epoch, `(B,)`.
            bin_seconds: Length of a bin. Where it does not divide a day, the last bin is shorter.

        Raises:
            ValueError: If a bin is shorter than a second or longer than a day.
        """
        per_day = bins_of_day(bin_seconds)
        days, of_day_us = np.divmod(self.local_us(times_us), _DAY_US)
        weekday = (days + _FIRST_WEEKDAY) % WEEK_DAYS
        if self.holidays:
            weekday[np.isin(days, _epoch_days(self.holidays))] = SUNDAY
        day_bin = of_day_us // (bin_seconds * _SECOND_US)
        return day_bin, weekday * per_day + day_bin


def bins_of_day(bin_seconds: int) -> int:
    """Return the number of bins in a day.

    Raises:
        ValueError: If a bin is shorter than a second or longer than a day.
    """
    if not 1 <= bin_seconds <= DAY_SECONDS or bin_seconds != int(bin_seconds):
        raise ValueError(
            "The length of a bin does not fit. Expected whole seconds, 1 to 86400. "
            f"Received: bin_seconds={bin_seconds}."
        )
    return -(-DAY_SECONDS // int(bin_seconds))


@lru_cache(maxsize=64)
def transitions_of(zone: str) -> Transitions:
    """Return the changes of a zone's clock in the years 1970 to 2100.

    Raises:
        ValueError: If there is no such zone.
    """
    info = zone_of(zone)
    if info is None:
        return Transitions(np.zeros(0, np.int64), np.zeros(1, np.int64))

    def offset(second: int) -> int:
        moment = datetime.fromtimestamp(second, info)
        return (moment.utcoffset() or timedelta()) // timedelta(microseconds=1)

    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in _YEARS)
    current = offset(first)
    at_us, offset_us = [], [current]
    step = int(_STEP.total_seconds())
    for second in range(first + step, last + step, step):
        if offset(second) == current:
            continue
        low, high = second - step, second
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == current else (low, middle)
        current = offset(second)
        at_us.append(high * _SECOND_US)
        offset_us.append(current)
    return Transitions(np.array(at_us, np.int64), np.array(offset_us, np.int64))


def _as_date(value: Any) -> date:
    """Return a holiday as a date."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(
            "A holiday is no date. Expected a date or text such as 2026-12-25. "
            f"Received: {value!r}."
        ) from None


def _epoch_days(days: tuple[date, ...]) -> Times:
    """Return dates as days since 1 January 1970."""
    return np.array([(day - date(1970, 1, 1)).days for day in days], dtype=np.int64)
