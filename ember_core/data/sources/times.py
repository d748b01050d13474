"""Event times of many spellings to microseconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._options import TimeUnit

PER_SECOND = 1_000_000
_US_PER_UNIT = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3, "index": 6e7}
# Years 1900 to 2261, as the stream's codecs accept them: a replay must not be refused.
_EARLIEST_US = -2_208_988_800_000_000
_LATEST_US = 9_214_646_400_000_000

Times = NDArray[np.int64]


class BadTimeError(ValueError):
    """The value at `row` of those handed in is not a time."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def to_microseconds(values: NDArray[Any], unit: TimeUnit) -> Times:
    """Microseconds since the epoch.

    Numbers: `s`, `ms`, `us`, `ns` as said; `index` is one minute per record; `auto` decides by
    size: |t| < 1e11 s, < 1e14 ms, < 1e17 us, else ns. Whole numbers are converted exactly,
    fractions are rounded to the nearest microsecond, nanoseconds downwards. Text: ISO 8601, a
    space may stand for the `T`, without an offset it is UTC.

    Args:
        values: Shape `(n,)`: integers, floats, or text (object array of str).
        unit: Unit of numbers, or that times must be ISO 8601.

    Returns:
        int64 of shape `(n,)`.

    Raises:
        BadTimeError: With the first row that is not a time.
    """
    if values.dtype.kind in "iuf":
        return _from_text(values.astype(str), unit) if unit == "iso8601" else _numbers(values, unit)
    return _within(_from_text(values, unit))


def _within(times: Times) -> Times:
    good = (times >= _EARLIEST_US) & (times < _LATEST_US)
    if not bool(good.all()):
        raise BadTimeError(int(good.argmin()))
    return times


def _from_text(text: NDArray[Any], unit: TimeUnit) -> Times:
    if unit != "iso8601":
        for convert in (_integers, _floats):
            numbers = convert(text)
            if numbers is not None:
                return _numbers(numbers, unit)
    if unit in ("iso8601", "auto"):
        times = _iso(text)
        if times is not None:
            return times
    # Mixed spellings, or the one that is no time: one by one.
    return np.array([_one(str(value), row, unit) for row, value in enumerate(text)], np.int64)


def _one(text: str, row: int, unit: TimeUnit) -> int:
    single = np.array([text], dtype=object)
    if unit != "iso8601":
        for convert in (_integers, _floats):
            numbers = convert(single)
            if numbers is not None:
                try:
                    return int(_numbers(numbers, unit)[0])
                except BadTimeError:
                    raise BadTimeError(row) from None
    if unit in ("iso8601", "auto"):
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise BadTimeError(row) from None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (elapsed.days * 86_400 + elapsed.seconds) * PER_SECOND + elapsed.microseconds
    raise BadTimeError(row)


def _integers(text: NDArray[Any]) -> Times | None:
    try:
        return text.astype(np.str_).astype(np.int64)
    except (ValueError, OverflowError):
        return None


def _floats(text: NDArray[Any]) -> NDArray[np.float64] | None:
    try:
        return np.fromiter(map(float, text), np.float64, len(text))
    except ValueError:
        return None


def _numbers(values: NDArray[Any], unit: TimeUnit) -> Times:
    if values.dtype.kind == "u":
        values = np.minimum(values.astype(np.uint64), 2**63 - 1)  # which is out of range
    values = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    if unit == "auto":
        limits = np.array([10**11, 10**14, 10**17], values.dtype)
        ladder = np.array([_US_PER_UNIT[name] for name in ("s", "ms", "us", "ns")])
        factor = ladder[np.searchsorted(limits, np.abs(values), side="right")]
    else:
        factor = np.full(len(values), _US_PER_UNIT[unit])
    microseconds = values * factor
    good = (microseconds >= _EARLIEST_US) & (
        microseconds < _LATEST_US
    )  # False for NaN and infinity too
    if not bool(good.all()):
        raise BadTimeError(int(good.argmin()))
    if values.dtype.kind == "i":
        return np.where(factor < 1.0, values // 1000, values * np.maximum(factor, 1.0).astype("i8"))
    rounded = np.where(factor < 1.0, np.floor(values / 1e3), np.rint(microseconds))
    return rounded.astype(np.int64)


def _iso(text: NDArray[Any]) -> Times | None:
    """All at once by pandas; None if one of them is not read (also one beyond its range)."""
    import pandas as pd

    parsed = pd.to_datetime(pd.Series(text), utc=True, format="ISO8601", errors="coerce")
    return None if bool(parsed.isna().any()) else datetime_microseconds(parsed)


def datetime_microseconds(column: Any) -> Times:
    """Microseconds of a pandas column of timestamps without gaps; naive ones are UTC."""
    utc = column.dt.tz_localize("UTC") if column.dt.tz is None else column.dt.tz_convert("UTC")
    plain = utc.dt.tz_localize(None).to_numpy()
    nanoseconds = np.datetime_data(plain.dtype)[0] == "ns"
    times = plain.astype(np.int64) // 1000 if nanoseconds else plain.astype("datetime64[us]")
    return _within(times.astype(np.int64))
