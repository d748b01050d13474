"""Times of calendars in UTC, as the command that writes a calendar works them out.

Workers neither read iCalendar files nor know rules of time zones: two hosts may have different
ones, and a replay has to decide the same. So a calendar carries its windows for a bounded time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

import msgspec

from .calendar_body import Calendar
from .calendars import windows_of
from .documents import MOST_DOCUMENT_BYTES, ControlSet, Document
from .times import moment

PAST: Final = timedelta(days=31)
"""Time before the writing of a calendar from which its windows are known: for a replay."""
HORIZON: Final = timedelta(days=400)
"""Time after the writing up to which they are."""
RENEWED: Final = HORIZON / 2
"""Part of it after which the same calendar is written again when its file is applied."""
_SPAN_BYTES: Final = 24
_SPARE_BYTES: Final = 8_192

Spans = tuple[tuple[int, int], ...]


def with_times(
    calendar: Calendar, begin: datetime, end: datetime, *, most: int | None = None
) -> Calendar:
    """Return a calendar with the windows that reach into a span, and those it lists one by one.

    Args:
        calendar: The calendar.
        begin: Begin of the span, with a time zone.
        end: End of the span, not part of it.
        most: Largest number of windows; None: as many as a document has room for.

    Raises:
        ControlError: If the calendar cannot be read, or has too many windows in the span.
    """
    windows = windows_of(calendar, begin, end)
    spans = _joined((window.begin, window.end) for window in windows)
    room = _room_of(calendar) if most is None else most
    horizon = ""
    if len(spans) > room:
        horizon = _text(datetime.fromtimestamp(spans[room][0], UTC))
        spans = spans[:room]
    elif (calendar.ical or calendar.weekly) and windows_of(calendar, end, end + HORIZON):
        horizon = _text(end)
    # Windows that are listed have no end of their own, and are few.
    listed = [moments for w in calendar.windows if (moments := w.moments(calendar.zone))]
    repeated = [(datetime.fromtimestamp(a, UTC), datetime.fromtimestamp(b, UTC)) for a, b in spans]
    return msgspec.structs.replace(calendar, times=_joined([*repeated, *listed]), until=horizon)


def with_times_at(calendar: Calendar, written: str) -> Calendar:
    """Return a calendar with its windows around the time of writing.

    Args:
        calendar: The calendar.
        written: Time of writing, RFC 3339.

    Raises:
        ControlError: If the calendar cannot be read, or has too many windows.
    """
    now = moment(written) or datetime.now(UTC)
    return with_times(calendar, now - PAST, now + HORIZON)


def spanning(control: ControlSet, begin: datetime, end: datetime) -> ControlSet:
    """Return documents whose calendars know their windows within a span, for recorded data.

    Args:
        control: The documents.
        begin: Begin of the span, with a time zone.
        end: End of the span.

    Raises:
        ControlError: If a calendar cannot be read, or has too many windows in the span.
    """
    return ControlSet(tuple(_spanning(document, begin, end) for document in control.documents))


def _spanning(document: Document, begin: datetime, end: datetime) -> Document:
    if not isinstance(document.body, Calendar):
        return document
    body = with_times(document.body, begin, end, most=1 << 30)
    return msgspec.structs.replace(document, body=body)


def without_times(calendar: Calendar) -> Calendar:
    """Return a calendar as its author wrote it."""
    return msgspec.structs.replace(calendar, times=(), until="")


def has_same_times(former: Document, document: Document) -> bool:
    """Return whether the windows of a calendar need no renewal.

    They do where the former ones end early, or where zone rules have changed meanwhile.

    Args:
        former: Document of a calendar in the topic.
        document: The same calendar, written now.
    """
    first, second = former.body, document.body
    assert isinstance(first, Calendar)
    assert isinstance(second, Calendar)
    begin, ends = moment(document.time), [moment(body.until) for body in (first, second)]
    if first.until and ends[0] is not None:
        renewed = ends[1] or (begin or ends[0]) + HORIZON
        if renewed - ends[0] > RENEWED:
            return False
    low = 0 if begin is None else ceil(begin.timestamp())
    high = min((int(end.timestamp()) for end in ends if end is not None), default=1 << 62)
    return _between(first.times, low, high) == _between(second.times, low, high)


def _between(spans: Sequence[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    cut = [(max(begin, low), min(end, high)) for begin, end in spans]
    return [(begin, end) for begin, end in cut if begin < end]


def _joined(moments: Iterable[tuple[datetime, datetime]]) -> Spans:
    """Return windows as seconds, in order, with those that touch joined."""
    spans = list[tuple[int, int]]()
    for begin, end in sorted(moments):
        first, last = int(begin.timestamp()), ceil(end.timestamp())
        if spans and first <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], last)
        elif last > first >= 0:
            spans.append((first, last))
    return tuple(spans)


def _room_of(calendar: Calendar) -> int:
    """Return the number of windows that a document has room for."""
    source_bytes = len(msgspec.json.encode(without_times(calendar))) + _SPARE_BYTES
    return max((MOST_DOCUMENT_BYTES - source_bytes) // _SPAN_BYTES - len(calendar.windows), 1)


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
