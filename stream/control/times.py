"""Times of documents: RFC 3339 with an offset from UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def moment(text: str, zone: str = "") -> datetime | None:
    """Return a time in UTC; None where the text is no RFC 3339 time with an offset.

    With a zone the offset may be left out; a day is its midnight there.

    Args:
        text: Text of the time.
        zone: Name of the time zone of a time without an offset; empty: there is none.

    Examples:
        >>> print(moment("2026-10-25T02:30:00+02:00"))
        2026-10-25 00:30:00+00:00
        >>> print(moment("2026-10-25 02:30"))
        None
        >>> print(moment("2026-10-26", "Europe/Berlin"))
        2026-10-25 23:00:00+00:00
    """
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is None and zone:
            parsed = parsed.replace(tzinfo=ZoneInfo(zone))
        return None if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def time_fault(field: str, text: str) -> str:
    """Return the fault of a time as a sentence; empty for a sound one.

    Args:
        field: Name of the time in the document.
        text: Text of the time.
    """
    if moment(text) is not None:
        return ""
    return (
        f"`{field}` is no time. Expected RFC 3339 with an offset, such as "
        f"`2026-12-24T18:00:00+01:00`. Received: {text!r}. Write date, time and offset."
    )


def zone_fault(field: str, name: str) -> str:
    """Return the fault of a time zone as a sentence; empty for a sound one, and for none.

    Args:
        field: Name of the time zone in the document.
        name: Name of the time zone.
    """
    try:
        ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return (
            f"`{field}` is no time zone. Expected a name such as `Europe/Berlin`. "
            f"Received: {name!r}. Leave it out for UTC."
        )
    return ""
