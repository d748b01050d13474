"""Times in text: calendar dates of people and programs, without a library's guesses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_CLOCK = (
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?)?"
    r"\s*(?P<half>[ap]\.?m\.?)?"
)
_ZONE = r"\s*(?P<zone>z|utc|gmt|(?:utc|gmt)?[+-]\d{1,2}(?::?\d{2}(?::?\d{2})?)?)?(?:\s+utc)?"
_ZONE_NAME = r"(?:\s*\[[^\]]+\])?"
_TIME = rf"(?:(?:\s*t\s*|,?\s+|:|_){_CLOCK}{_ZONE}{_ZONE_NAME})?"
_COMPACT_CLOCK = r"(?P<hour>\d{2})(?P<minute>\d{2})(?:(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
_COMPACT_TIME = rf"(?:(?:t|\s+|-|_){_COMPACT_CLOCK}{_ZONE})?"

_YEAR_FIRST = re.compile(
    rf"(?P<year>\d{{4}})(?P<sep>[-/.])(?P<month>\d{{1,2}})(?P=sep)(?P<day>\d{{1,2}}){_TIME}"
)
_COMPACT = re.compile(rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}}){_COMPACT_TIME}")
_COMPACT_DATE = re.compile(rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}}){_TIME}")
_DOTTED = re.compile(rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}}){_TIME}")
_NAMED = (
    re.compile(
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})[\s/.-]+{_MONTH}[\s/,-]+(?P<year>\d{{4}}|\d{{2}}){_TIME}"
    ),
    re.compile(
        rf"{_WEEKDAY}{_MONTH}[\s-]+(?P<day>\d{{1,2}})(?:,\s*|\s+|-)(?P<year>\d{{4}}){_TIME}"
    ),
    re.compile(rf"(?P<year>\d{{4}})[\s/-]+{_MONTH}[\s/-]+(?P<day>\d{{1,2}}){_TIME}"),
    # As C's ctime and `date` write it: the year stands last.
    re.compile(rf"{_WEEKDAY}{_MONTH}\s+(?P<day>\d{{1,2}})\s+{_CLOCK}{_ZONE}\s+(?P<year>\d{{4}})"),
)
_SLASHED = re.compile(
    rf"(?P<first>\d{{1,2}})(?P<sep>[-/])(?P<follows>\d{{1,2}})(?P=sep)(?P<year>\d{{4}}){_TIME}"
)
_ALWAYS = (_YEAR_FIRST, _COMPACT, _COMPACT_DATE, _DOTTED, *_NAMED)


class Order(NamedTuple):
    """Numbers of a date whose day and month stand before the year."""

    first: int
    second: int


def order_of(text: str) -> Order | None:
    """Return the first two numbers of a date such as 01/02/2026; None for all other text.

    Examples:
        >>> order_of("31/01/2026 10:00"), order_of("2026-01-31")
        (Order(first=31, second=1), None)
    """
    match = _SLASHED.fullmatch(text.strip().lower())
    return None if match is None else Order(int(match["first"]), int(match["follows"]))


def parse(text: str, day_first: bool | None) -> datetime | None:
    """Return the time in a text, without a zone where it names none; None where it is no time.

    Args:
        text: Text in lower case, without blanks around it.
        day_first: Order of day and month in 01/02/2026; None reads no such date.
    """
    for pattern in _ALWAYS:
        if match := pattern.fullmatch(text):
            parts = match.groupdict()
            name = parts.get("name")
            month = _MONTHS.index(name[:3]) + 1 if name else int(parts["month"])
            return _moment(int(parts["year"]), month, int(parts["day"]), parts)
    if day_first is not None and (match := _SLASHED.fullmatch(text)):
        day, month = int(match["first"]), int(match["follows"])
        if not day_first:
            day, month = month, day
        return _moment(int(match["year"]), month, day, match.groupdict())
    return None


def _moment(year: int, month: int, day: int, parts: dict[str, str | None]) -> datetime | None:
    if year < 100:  # as strptime's %y, for the historians that write 31-Jan-26
        year += 2000 if year < 69 else 1900
    hour, minute = int(parts["hour"] or 0), int(parts["minute"] or 0)
    second = int(parts["second"] or 0)
    half = parts.get("half")
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    elif parts["hour"] is not None and parts["minute"] is None:
        return None  # a lone number after a date is no time of day
    # 24:00 is the midnight that ends the day, 23:59:60 a leap second.
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        return None
    micros = int(((parts["fraction"] or "") + "000000")[:6])
    if hour == 24 and micros:
        return None
    try:
        zone = _zone(parts["zone"])
        date = datetime(year, month, day, tzinfo=zone)
        return date + timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micros)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    digits = text.removeprefix("utc").removeprefix("gmt")
    if digits in ("", "z"):
        return UTC
    sign = -1 if digits[0] == "-" else 1
    numbers = digits[1:].replace(":", "")
    if len(numbers) <= 2:
        numbers = numbers.zfill(2) + "00"
    elif len(numbers) == 3:
        numbers = "0" + numbers
    hours, minutes, seconds = int(numbers[:2]), int(numbers[2:4]), int(numbers[4:6] or 0)
    if minutes > 59 or seconds > 59:
        raise ValueError(text)
    return timezone(sign * timedelta(hours=hours, minutes=minutes, seconds=seconds))
