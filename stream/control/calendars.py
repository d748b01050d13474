"""Windows of planned work that a calendar has within a span of time.

The result depends on the document and the span only, and on the rules of its time zones. Files of
other programs are read by `icalendar` and `recurring-ical-events` (extra `calendars`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from .calendar_body import Calendar
from .documents import ControlError
from .times import zone_fault
from .weekly import weekly_windows

MOST_WINDOWS: Final = 10_000
"""Windows within one span; more are a mistake of the file."""
_STEP: Final = timedelta(days=31)
_KEPT: Final = (
    *("UID", "SUMMARY", "STATUS", "SEQUENCE", "DTSTAMP", "RECURRENCE-ID"),
    *("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE"),
)
"""Properties of an event that say when it is; guests and descriptions concern nobody here."""
_TOO_OFTEN: Final = frozenset({"SECONDLY", "MINUTELY"})


class PlannedWindow(NamedTuple):
    """Window of planned work in UTC; the end is not part of it."""

    begin: datetime
    end: datetime
    name: str


def windows_of(calendar: Calendar, begin: datetime, end: datetime) -> list[PlannedWindow]:
    """Return the windows of a calendar that reach into a span, by their begin.

    Args:
        calendar: The calendar.
        begin: Begin of the span, with a time zone.
        end: End of the span, not part of it.

    Raises:
        ControlError: If the calendar cannot be read, or has too many windows in the span.
    """
    windows = set[PlannedWindow]()
    for window in _windows(calendar, begin.astimezone(UTC), end.astimezone(UTC)):
        windows.add(window)
        if len(windows) > MOST_WINDOWS:
            raise ControlError(
                f"The calendar has too many windows. Expected at most {MOST_WINDOWS} between "
                f"{begin.isoformat()} and {end.isoformat()}. Received: more. Repeat it less often."
            )
    return sorted(windows)


def slim(text: str) -> str:
    """Return an iCalendar file without all that does not say when its events are.

    Args:
        text: Text of the file.

    Raises:
        ControlError: If it is no calendar, or has no event.
    """
    icalendar, _ = _libraries()
    source, target = _parse(text), icalendar.Calendar()
    for name in ("PRODID", "VERSION", "X-WR-TIMEZONE"):
        if name in source:
            target[name] = source[name]
    for zone in source.walk("VTIMEZONE"):
        target.add_component(zone)
    for event in source.walk("VEVENT"):
        kept = icalendar.Event()
        for name in _KEPT:
            if name in event:
                kept[name] = event[name]
        target.add_component(kept)
    slimmed: str = target.to_ical().decode()
    return slimmed


def _windows(calendar: Calendar, begin: datetime, end: datetime) -> Iterator[PlannedWindow]:
    for window in calendar.windows:
        moments = window.moments(calendar.zone)
        if moments is not None and moments[0] < end and moments[1] > begin:
            yield PlannedWindow(*moments, "")
    for moments in weekly_windows(calendar.weekly, calendar.zone or "UTC", begin, end):
        yield PlannedWindow(*moments, "")
    if calendar.ical:
        _, recurring_ical_events = _libraries()
        source = _parse(calendar.ical)
        query, zone = recurring_ical_events.of(source), _zone(calendar, source)
        # Piece by piece, so that a file with far too many windows is found out early.
        while begin < end:
            piece = min(begin + _STEP, end)
            # A day more on both sides: times without a zone are not in UTC.
            around = query.between(begin - timedelta(days=1), piece + timedelta(days=1))
            yield from _planned(around, zone, begin, piece)
            begin = piece


def _zone(calendar: Calendar, source: Any) -> ZoneInfo:
    """Return the zone of times that have none: that of the document, or of its file."""
    own = str(source.get("X-WR-TIMEZONE", ""))
    return ZoneInfo(calendar.zone or ("" if zone_fault("zone", own) else own) or "UTC")


def _planned(
    events: Any, zone: ZoneInfo, begin: datetime, end: datetime
) -> Iterator[PlannedWindow]:
    for event in events:
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            continue
        first, last = _in_utc(event.start, zone), _in_utc(event.end, zone)
        if first < last and first < end and last > begin:
            yield PlannedWindow(first, last, str(event.get("SUMMARY", "")))


def _in_utc(value: date, zone: ZoneInfo) -> datetime:
    """Return a time of an event in UTC; a day begins at midnight of the zone."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return value.astimezone(UTC)


def _parse(text: str) -> Any:
    icalendar, _ = _libraries()
    try:
        calendar = icalendar.Calendar.from_ical(text)
    except (ValueError, KeyError, IndexError) as error:
        raise ControlError(
            f"The calendar cannot be read. Expected an iCalendar file (RFC 5545). Received: {error}"
            ". Export it again as .ics."
        ) from None
    events = calendar.walk("VEVENT")
    if not events:
        raise ControlError(
            "The calendar has no event. Expected BEGIN:VEVENT. Received: none. Export a calendar "
            "with events."
        )
    for event in events:
        rule = event.get("RRULE")
        frequencies = rule.get("FREQ", []) if rule is not None and hasattr(rule, "get") else []
        if _TOO_OFTEN.intersection(map(str, frequencies)):
            raise ControlError(
                "An event of the calendar repeats too often. Expected at most hourly. Received: "
                f"FREQ={frequencies[0]}. Make one window of it."
            )
    return calendar


def _libraries() -> tuple[Any, Any]:
    try:
        import icalendar
        import recurring_ical_events
    except ImportError:
        raise ControlError(
            "A calendar file needs two packages more. Expected the extra `calendars`. Received: "
            "none. Install it with pip install 'ember-anomaly[calendars]'."
        ) from None
    return icalendar, recurring_ical_events
