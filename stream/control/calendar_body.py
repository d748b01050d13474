"""Body of a calendar: times of planned work on some keys."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Final

import msgspec

from stream.durations import seconds_of

from .patterns import ALL, matches, patterns_fault
from .times import moment, time_fault, zone_fault
from .weekly import weekly_fault

DEFAULT_GRACE: Final = "15m"
"""Time after a window in which nothing fires either, where a calendar says none."""
KNOWN_FIELDS: Final = ("times", "until")
"""Fields that follow from the others, and that no file has."""
_MOST_WINDOWS: Final = 1_000
_MOST_GRACE_SECONDS: Final = 7 * 86_400.0
_LAST_SECOND: Final = 253_402_300_799  # the year 9999


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Span of planned work; the end is not part of it."""

    begin: str
    end: str

    def moments(self, zone: str) -> tuple[datetime, datetime] | None:
        """Return begin and end in UTC; None where one of them is no time.

        Args:
            zone: Time zone of times without an offset; empty: there is none.
        """
        begin, end = moment(self.begin, zone), moment(self.end, zone)
        return None if begin is None or end is None else (begin, end)


class Calendar(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag="calendar",
):
    """Times of planned work on some keys.

    The sources of its times are for people and for the command that writes it. Workers use `times`
    only, so that all of them have the same, whatever zone rules their hosts have.
    """

    keys: tuple[str, ...] = ALL
    """Shell patterns of keys."""
    topics: tuple[str, ...] = ALL
    """Shell patterns of topics."""
    ical: str = ""
    """Text of an iCalendar file (RFC 5545)."""
    windows: tuple[Window, ...] = ()
    weekly: tuple[str, ...] = ()
    """Windows of each week in local time, such as `sat 22:00-02:00`."""
    zone: str = ""
    """Time zone of days and times that have none; empty: for `ical` that of the file, or UTC."""
    grace: str = DEFAULT_GRACE
    """Time after a window in which nothing fires, and all is followed again."""
    quiet_limits: bool = False
    """True: hard limits do not fire either."""
    times: tuple[tuple[int, int], ...] = ()
    """Begin and end of each window, seconds since the epoch, rising and apart."""
    until: str = ""
    """Time up to which `times` has the windows; empty: there are none after the last one."""

    def is_for_key(self, topic: str, key: str) -> bool:
        """Return whether the calendar is for a key.

        Args:
            topic: Name of the stream in events.
            key: Text of the key in events.
        """
        return matches(self.topics, topic) and matches(self.keys, key)

    @property
    def grace_us(self) -> int:
        """Grace in microseconds."""
        return round((seconds_of(self.grace) or 0.0) * 1e6)

    def validate(self) -> str:
        """Return the first fault as a sentence; empty for a sound body."""
        if not self.ical and not self.windows and not self.weekly:
            return (
                "The calendar has no times. Expected `file`, an iCalendar file beside this one, "
                "`weekly`, such as ['sat 22:00-02:00'], or `windows`, a list with `begin` and "
                "`end`. Received: none of them. Add one."
            )
        if len(self.windows) > _MOST_WINDOWS:
            return (
                f"`windows` has too many entries. Expected at most {_MOST_WINDOWS}. Received: "
                f"{len(self.windows)}. Use a repeating event of a `file`."
            )
        return (
            patterns_fault("keys", self.keys)
            or patterns_fault("topics", self.topics)
            or zone_fault("zone", self.zone)
            or _windows_fault(self.windows, self.zone)
            or weekly_fault(self.weekly, self.zone)
            or self._grace_fault()
            or self._times_fault()
        )

    def _grace_fault(self) -> str:
        seconds = seconds_of(self.grace)
        if seconds is not None and seconds <= _MOST_GRACE_SECONDS:
            return ""
        return (
            "The `grace` of a calendar is a duration. Expected a number and s, m, h or d, at most "
            f"7d, such as '15m'. Received: grace={self.grace!r}."
        )

    def _times_fault(self) -> str:
        bounds = [moment for span in self.times for moment in span]
        rising = all(first < second for first, second in pairwise(bounds))
        if not rising or (bounds and not 0 <= bounds[0] <= bounds[-1] <= _LAST_SECOND):
            return (
                "`times` are no windows. Expected begin and end of each, in seconds since the "
                "epoch, rising. Received: others. Write the calendar with `ember control apply`."
            )
        return time_fault("until", self.until) if self.until else ""


def _windows_fault(windows: tuple[Window, ...], zone: str) -> str:
    for number, window in enumerate(windows):
        moments = window.moments(zone)
        if moments is None:
            return _window_time_fault(f"windows[{number}]", window, zone)
        if moments[0] >= moments[1]:
            return (
                f"`windows[{number}]` ends before it begins. Expected `end` after `begin`. "
                f"Received: begin={window.begin!r}, end={window.end!r}. Exchange them."
            )
    return ""


def _window_time_fault(place: str, window: Window, zone: str) -> str:
    name = "end" if moment(window.begin, zone) is not None else "begin"
    text = getattr(window, name)
    if moment(text, "UTC") is None:
        return time_fault(f"{place}.{name}", text)
    return (
        f"`{place}.{name}` has no offset from UTC. Expected one, such as `+01:00`, or the `zone` "
        f"of the calendar, such as `Europe/Berlin`. Received: {text!r}. Add one of them."
    )
