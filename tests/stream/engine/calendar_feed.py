"""Calendars as documents, by rows of a feed."""

from __future__ import annotations

from datetime import UTC, datetime

from stream.control import Calendar, ControlSet, Document, Window
from stream.control.known_times import with_times
from stream.control.rules import Rule
from tests.stream.engine.conftest import SECOND

FAR = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def calendar(begin_us: int, end_us: int, **fields) -> Calendar:
    """One window, whole seconds."""
    texts = [datetime.fromtimestamp(us // SECOND, UTC).isoformat() for us in (begin_us, end_us)]
    return with_times(Calendar(windows=(Window(*texts),), **fields), *FAR)


def control_with(*calendars: Calendar, **rules: Rule) -> ControlSet:
    """Documents of calendars, named by their number, and of rules."""
    bodies = {f"work-{i}": body for i, body in enumerate(calendars)} | rules
    return ControlSet.of(
        Document(name=name, author="me", time="2026-01-01T00:00:00Z", body=body)
        for name, body in bodies.items()
    )
