"""Remarks on documents that are sound, and yet do less than their author may expect."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from ember_core.data.sources import Remark
from stream.control import Calendar, Document, Rule, Silence
from stream.control.times import moment

SOON = timedelta(days=30)
"""Time before the windows of a calendar are not known any more from which that is told."""


def remarks_of(documents: Iterable[Document], time: str) -> list[Remark]:
    """Return the remarks on silences and calendars that are over, and rules that leave out all.

    A silence that is over is no fault: a file in git may have it, and still has to apply.

    Args:
        documents: The documents.
        time: Present time, RFC 3339.
    """
    remarks, present = list[Remark](), moment(time)
    for document in documents:
        if isinstance(document.body, Calendar) and present is not None:
            remarks += _of_calendar(document.key, document.body, present)
        if isinstance(document.body, Silence):
            end = moment(document.body.until)
            if end is not None and present is not None and end <= present:
                text = f"the silence ended at {document.body.until}; remove it, or set a later end"
                remarks.append(Remark("ended_silence", text, document.key))
        if isinstance(document.body, Rule) and _ignores_all(document.body):
            text = "the rule leaves out all channels of all keys, so that the model alerts nobody"
            remarks.append(Remark("ignores_all", text, document.key))
    return remarks


def _of_calendar(key: str, calendar: Calendar, present: datetime) -> list[Remark]:
    """Return the remarks on a calendar without windows to come, or with a horizon that is near."""
    until = moment(calendar.until)
    if until is not None and until - present < SOON:
        text = (
            f"the windows of the calendar are known until {calendar.until}; apply its file again, "
            "or `ember control export` and apply that"
        )
        return [Remark("calendar_horizon", text, key)]
    last = calendar.times[-1][1] + calendar.grace_us / 1e6 if calendar.times else 0.0
    if until is None and last <= present.timestamp():
        text = "the calendar has no window to come; remove it, or write new ones"
        return [Remark("ended_calendar", text, key)]
    return []


def _ignores_all(rule: Rule) -> bool:
    return rule.ignore and all("*" in each for each in (rule.keys, rule.topics, rule.channels))
