"""Columns of event times to microseconds since the epoch; see `ember_core.data.cells`."""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ember_core.data.cells import EARLIEST_US, LATEST_US, TimeReader, TimeUnit, Unreadable

PER_SECOND = 1_000_000
PER_RECORD = 60 * PER_SECOND
"""Length of a record number: one minute, wherever records stand for times (ADR 5)."""

Times = NDArray[np.int64]

_FIFTH, _EIGHTH = itemgetter(4), itemgetter(7)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # naive, so that isoformat adds no `+00:00`


def utc_text(time_us: int) -> str:
    """Return a time as ISO 8601 in UTC, with six digits of fraction where it has one."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat() + "Z"


class BadTimeError(ValueError):
    """The value at `row` of those handed in is not a time."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


class LocalTimes(NamedTuple):
    """A column of times as written. `n` rows."""

    time_us: Times
    """Microseconds since the epoch, or of the local clock, `(n,)`."""
    is_local: NDArray[np.bool_]
    """Whether the time has no offset, `(n,)`."""
    bad: dict[int, Unreadable]
    """Rows that are no time, and the reasons."""


def to_microseconds(values: NDArray[Any], unit: TimeUnit) -> Times:
    """Microseconds since the epoch.

    Numbers: `s`, `ms`, `us`, `ns` as said; `index` is one minute per record; `auto` decides by
    size: |t| < 1e11 s, < 1e14 ms, < 1e17 us, else ns. Whole numbers are converted exactly,
    fractions are rounded to the nearest microsecond, nanoseconds downwards. Text: ISO 8601 and
    the other forms of `ember_core.data.cells`, without an offset it is UTC.

    Args:
        values: Shape `(n,)`: integers, floats, or text (object array of str).
        unit: Unit of numbers, or that times must be text.

    Returns:
        int64 of shape `(n,)`.

    Raises:
        BadTimeError: With the first row that is not a time.
    """
    times = read_times(values, TimeReader(unit))
    if times.bad:
        raise BadTimeError(min(times.bad))
    return times.time_us


def read_times(values: NDArray[Any], reader: TimeReader) -> LocalTimes:
    """Read a column by a reader; its zone is not yet applied.

    Args:
        values: Shape `(n,)`: integers, floats, or objects.
        reader: Reader of one cell, which has the last word.
    """
    if values.dtype.kind in "iuf":
        return _with_range(values, *reader.local(_exact(values)))
    if len(values):
        if reader.unit in ("auto", "iso8601") and not reader.format:
            first = values[0]
            if isinstance(first, str) and first[4:5] in ("-", "/"):
                return _iso(values, reader)
        integers = _integers(values) if reader.unit != "iso8601" and not reader.format else None
        if integers is not None:
            return _with_range(values, *reader.local(integers))
    return _with_range(values, *reader.local(values.tolist()))


def _exact(values: NDArray[Any]) -> Any:
    """Return numbers as the reader takes them: 64 bits, or of any size."""
    if values.dtype.kind == "u" and len(values) and int(values.max()) >= 2**63:
        return values.tolist()
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _with_range(
    values: Any, time_us: Times, is_local: NDArray[np.bool_], bad: dict[int, Unreadable]
) -> LocalTimes:
    outside = (time_us < EARLIEST_US) | (time_us >= LATEST_US)
    for row in np.flatnonzero(outside).tolist():
        bad.setdefault(row, Unreadable("a time from 1900 to 2261", values[row]))
    return LocalTimes(time_us, is_local, bad)


def _integers(text: NDArray[Any]) -> Times | None:
    if not isinstance(text[0], str) or not text[0].strip().lstrip("+-").isdigit():
        return None
    try:
        return text.astype(np.str_).astype(np.int64)
    except (ValueError, OverflowError):
        return None


def _iso(text: NDArray[Any], reader: TimeReader) -> LocalTimes:
    """All at once by pandas; those that it does not read, one by one."""
    import pandas as pd

    n = len(text)
    time_us, unread = np.zeros(n, np.int64), np.ones(n, bool)
    # pandas takes 2026-01 and 1712111010 for dates too, the table of cells does not.
    sep = _separator(text)
    if sep:
        dashed = text if sep == "-" else np.array([t.replace("/", "-", 2) for t in text], object)
        parsed = pd.to_datetime(pd.Series(dashed), utc=True, format="ISO8601", errors="coerce")
        unread = np.asarray(parsed.isna(), bool)
        time_us[~unread] = _microseconds(parsed[~unread])
    if reader.zone is None:  # then it matters for a remark only
        is_local = np.full(n, _has_no_offset(text[0]))
    else:
        is_local = np.fromiter(map(_has_no_offset, text), np.bool_, n)
    bad: dict[int, Unreadable] = {}
    rows = np.flatnonzero(unread)
    if len(rows):
        time_us[rows], is_local[rows], unreadable = reader.local(text[rows].tolist())
        bad = {int(rows[i]): error for i, error in unreadable.items()}
    return _with_range(text, time_us, is_local, bad)


def _separator(text: NDArray[Any]) -> str:
    """Return the sign between year, month and day if it is the same in all texts."""
    try:
        signs = {*map(_FIFTH, text), *map(_EIGHTH, text)}
    except IndexError:  # a shorter text
        return ""
    return signs.pop() if signs in ({"-"}, {"/"}) else ""


def _has_no_offset(text: str) -> bool:
    last = text[-1:]
    return not (last == "Z" or "+" in text or "-" in text[10:] or last in "z]Cc)")


def datetime_microseconds(column: Any) -> Times:
    """Microseconds of a pandas column of timestamps without gaps; naive ones are UTC.

    Raises:
        BadTimeError: With the first row before 1900 or after 2261.
    """
    micros = _microseconds(column)
    good = (micros >= EARLIEST_US) & (micros < LATEST_US)
    if not bool(good.all()):
        raise BadTimeError(int(good.argmin()))
    return micros


def _microseconds(column: Any) -> Times:
    utc = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
    plain = utc.dt.tz_localize(None).to_numpy()
    nanoseconds = np.datetime_data(plain.dtype)[0] == "ns"
    times = plain.astype(np.int64) // 1000 if nanoseconds else plain.astype("datetime64[us]")
    micros: Times = times.astype(np.int64)
    return micros
