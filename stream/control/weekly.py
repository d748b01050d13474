"""Windows that come back every week in local time, written as `sat 22:00-02:00`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

MOST_ENTRIES: Final = 100
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ENTRY: Final = re.compile(r"(?:(\w{3,5})(?:-(\w{3}))? +)?(\d\d):(\d\d)-(\d\d):(\d\d)")
_MINUTES_OF_DAY: Final = 24 * 60


class WeeklyWindow(NamedTuple):
    """Window of each week.

    Attributes:
        days: Weekdays on which it begins; 0 is Monday.
        begin: Minute of the local day at which it begins.
        end: Minute of the local day at which it ends; beyond 1440 on the next day.
    """

    days: frozenset[int]
    begin: int
    end: int


def parse_weekly(text: str) -> WeeklyWindow | None:
    """Return the window that a text says; None where it says none.

    Examples:
        >>> window = parse_weekly("fri-sun 22:00-02:00")
        >>> sorted(window.days), window.begin, window.end
        ([4, 5, 6], 1320, 1560)
        >>> parse_weekly("daily 03:00-03:00") is None
        True

    Args:
        text: One day, a span of days, `daily` or none of these, and begin and end.
    """
    match = _ENTRY.fullmatch(text.strip().lower())
    if match is None:
        return None
    first, last, *clock = match.groups()
    if first in (None, "daily"):
        days = frozenset(range(7)) if last is None else None
    elif first in DAYS and (last or first) in DAYS:
        begin_day = DAYS.index(first)
        count = (DAYS.index(last or first) - begin_day) % 7 + 1
        days = frozenset((begin_day + i) % 7 for i in range(count))
    else:
        days = None
    hours, minutes, end_hours, end_minutes = map(int, clock)
    begin, end = 60 * hours + minutes, 60 * end_hours + end_minutes
    are_times = minutes < 60 and end_minutes < 60
    are_times &= begin < _MINUTES_OF_DAY and end <= _MINUTES_OF_DAY
    if days is None or not are_times or begin == end:
        return None
    return WeeklyWindow(days, begin, end + _MINUTES_OF_DAY * (end < begin))


def weekly_fault(entries: Sequence[str], zone: str) -> str:
    """Return the fault of the windows of each week as a sentence; empty for sound ones.

    Args:
        entries: Texts of the windows.
        zone: Time zone of their times; empty: there is none.
    """
    if len(entries) > MOST_ENTRIES:
        return (
            f"`weekly` has too many entries. Expected at most {MOST_ENTRIES}. Received: "
            f"{len(entries)}. Join some, or write several calendars."
        )
    for entry in entries:
        if parse_weekly(entry) is None:
            return (
                "`weekly` has something that is no window. Expected a day or days, begin and end, "
                "such as 'sat 22:00-02:00', 'mon-fri 01:00-03:00' or 'daily 04:00-04:30'. "
                f"Received: {entry!r}. Correct it."
            )
    if entries and not zone:
        return (
            "`weekly` has times without a zone. Expected the `zone` of the calendar, such as "
            "`Europe/Berlin` or `UTC`. Received: none. Add it."
        )
    return ""


def weekly_windows(
    entries: Sequence[str], zone: str, begin: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Iterate over the windows of each week that reach into a span, in UTC.

    A window keeps its local times when the clocks change, and is an hour longer or shorter then. A
    time that the clocks leave out is the moment of the change.

    Args:
        entries: Texts of the windows, sound ones.
        zone: Time zone of their times.
        begin: Begin of the span.
        end: End of the span, not part of it.
    """
    local = ZoneInfo(zone)
    windows = [window for window in map(parse_weekly, entries) if window is not None]
    day = begin.astimezone(local).date() - timedelta(days=2)
    while day <= end.astimezone(local).date():
        for window in windows:
            if day.weekday() in window.days:
                midnight = datetime.combine(day, time())
                moments = [
                    _in_utc(midnight + timedelta(minutes=minute), local)
                    for minute in (window.begin, window.end)
                ]
                if moments[0] < moments[1] and moments[0] < end and moments[1] > begin:
                    yield moments[0], moments[1]
        day += timedelta(days=1)


def _in_utc(local: datetime, zone: ZoneInfo) -> datetime:
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    shown = moment.astimezone(zone).replace(tzinfo=None)
    # Of a time that does not exist the clocks show a later one: both are past the change.
    return moment if shown == local else _change_before(moment, zone)


def _change_before(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the last change of a zone's clock before a moment, to the minute."""
    offset = moment.astimezone(zone).utcoffset()
    while (moment - timedelta(minutes=1)).astimezone(zone).utcoffset() == offset:
        moment -= timedelta(minutes=1)
    return moment
