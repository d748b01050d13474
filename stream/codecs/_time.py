"""Conversion of event times, in any form that producers write, to int64 microseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stream.records import TIME_MAX_US, TIME_MIN_US, Reason

from ._refused import Refused

TimeUnit = Literal["auto", "s", "ms", "us", "ns", "iso8601"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LIMITS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"))
_RANGE = "Expected a time from 1900 to 2261"

IntTimes = NDArray[np.int64]
FloatTimes = NDArray[np.float64]

# Whole numbers are exact; digits below a microsecond are dropped. Floats are rounded, and stay
# floats until they are known to fit.
_FROM_INT: dict[str, Callable[[IntTimes], IntTimes]] = {
    "s": lambda t: t * 1_000_000,
    "ms": lambda t: t * 1_000,
    "us": lambda t: t,
    "ns": lambda t: t // 1_000,
}
_INT_BOUNDS = {
    "s": (TIME_MIN_US // 1_000_000, TIME_MAX_US // 1_000_000),
    "ms": (TIME_MIN_US // 1_000, TIME_MAX_US // 1_000),
    "us": (TIME_MIN_US, TIME_MAX_US),
    "ns": (TIME_MIN_US * 1_000, TIME_MAX_US * 1_000),
}
_FROM_FLOAT: dict[str, Callable[[FloatTimes], FloatTimes]] = {
    "s": lambda t: np.rint(t * 1e6),
    "ms": lambda t: np.rint(t * 1e3),
    "us": np.rint,
    "ns": lambda t: np.floor(t / 1e3),
}


def to_micros(
    times: Sequence[Any], unit: TimeUnit, where: str
) -> tuple[IntTimes, dict[int, Refused]]:
    """Convert a column of event times.

    Args:
        times: `(n,)` ints, floats, texts or datetimes, as decoded; None is a missing time.
        unit: Unit of the numbers. `auto`: below 1e11 seconds, below 1e14 milliseconds, below 1e17
            microseconds, else nanoseconds. Texts (`auto`, `iso8601`) are ISO 8601, UTC where they
            name no zone.
        where: Path of the field, for refusals.

    Returns:
        `(n,)` microseconds since the epoch, and a refusal for each bad time (its entry in the
        array is 0). The time of one record never depends on the others.
    """
    kinds = set(map(type, times))
    out = np.zeros(len(times), dtype=np.int64)
    bad: dict[int, Refused] = {}
    integers: list[int] = []
    floats: list[int] = []
    if unit == "iso8601" or not kinds <= {int, float}:
        for i, value in enumerate(times):
            kind = type(value)
            if unit != "iso8601" and (kind is int or kind is float):
                (integers if kind is int else floats).append(i)
                continue
            try:
                out[i] = _other(value, unit, where)
            except Refused as refused:
                bad[i] = refused
    elif len(kinds) == 2:  # NumPy would make floats of a mixed column, and lose digits of integers
        for i, value in enumerate(times):
            (integers if type(value) is int else floats).append(i)
    if integers or (kinds == {int} and unit != "iso8601"):
        _numbers(times, integers, _ints, unit, where, out, bad)
    if floats or (kinds == {float} and unit != "iso8601"):
        _numbers(times, floats, _floats, unit, where, out, bad)
    return out, bad


def one_to_micros(value: Any, unit: TimeUnit, where: str) -> int:
    """Convert one event time; see `to_micros`.

    Raises:
        Refused: `NO_TIME` or `BAD_TIME`.
    """
    out, bad = to_micros([value], unit, where)
    if bad:
        raise bad[0]
    return int(out[0])


def _numbers(
    times: Sequence[Any],
    index: list[int],
    convert: Callable[[Sequence[Any], TimeUnit], tuple[IntTimes, NDArray[np.bool_]]],
    unit: TimeUnit,
    where: str,
    out: IntTimes,
    bad: dict[int, Refused],
) -> None:
    """Convert the times at `index` (empty: all of them) into `out`."""
    selected = [times[i] for i in index] if index else times
    micros, valid = convert(selected, unit)
    if index:
        out[index] = micros
    else:
        out[:] = micros
    if not valid.all():
        for j in np.flatnonzero(~valid).tolist():
            value = selected[j]
            text = repr(value) if type(value) is float or abs(value) < 1e30 else "a huge integer"
            bad[index[j] if index else j] = Refused(
                Reason.BAD_TIME, f"{_RANGE} (time_unit {unit}), got {text} - at `{where}`"
            )


def _ints(times: Sequence[int], unit: TimeUnit) -> tuple[IntTimes, NDArray[np.bool_]]:
    fits = np.ones(len(times), dtype=np.bool_)
    try:
        t = np.fromiter(times, dtype=np.int64, count=len(times))
    except OverflowError:
        # JSON's integers have no bound: those beyond 64 bits are refused, the others are kept.
        edge = 1 << 63
        fits = np.fromiter((-edge <= x < edge for x in times), dtype=np.bool_, count=len(times))
        t = np.array([x if ok else 0 for x, ok in zip(times, fits.tolist(), strict=True)])
        t = t.astype(np.int64)
    out = np.zeros_like(t)
    for name, mask in _units(np.abs(t), unit):
        low, high = _INT_BOUNDS[name]
        accepted = mask & (t >= low) & (t < high)
        out[accepted] = _FROM_INT[name](t[accepted])
        fits &= accepted | ~mask
    return out, fits


def _floats(times: Sequence[float], unit: TimeUnit) -> tuple[IntTimes, NDArray[np.bool_]]:
    t = np.fromiter(times, dtype=np.float64, count=len(times))
    fits = np.isfinite(t) & (np.abs(t) < 1e19)
    t = np.where(fits, t, 0.0)
    out = np.zeros(len(t), dtype=np.int64)
    for name, mask in _units(np.abs(t), unit):
        micros = _FROM_FLOAT[name](t)
        accepted = mask & (micros >= TIME_MIN_US) & (micros < TIME_MAX_US)
        out[accepted] = micros[accepted].astype(np.int64)
        fits &= accepted | ~mask
    return out, fits


def _units(size: IntTimes | FloatTimes, unit: TimeUnit) -> list[tuple[str, NDArray[np.bool_]]]:
    """Assign each time to a unit: pairs of a unit and the mask of its times."""
    if unit != "auto":
        return [(unit, np.ones(len(size), dtype=np.bool_))]
    masks = []
    remaining = np.ones(len(size), dtype=np.bool_)
    for limit, name in _LIMITS:
        mask = remaining & (size < limit)
        remaining &= ~mask
        if mask.any():
            masks.append((name, mask))
    if remaining.any():
        masks.append(("ns", remaining))
    return masks


def _other(value: Any, unit: TimeUnit, where: str) -> int:
    if value is None:
        raise Refused(Reason.NO_TIME, f"The record has no time - at `{where}` (input.time).")
    if isinstance(value, str) and unit in ("auto", "iso8601"):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            text = value if len(value) <= 40 else value[:40] + "..."
            raise Refused(
                Reason.BAD_TIME, f"Expected a time in ISO 8601, got {text!r} - at `{where}`"
            ) from None
    elif isinstance(value, datetime):
        moment = value
    else:
        expected = "a time in ISO 8601" if unit == "iso8601" else f"a number (time_unit {unit})"
        raise Refused(
            Reason.BAD_TIME, f"Expected {expected}, got `{type(value).__name__}` - at `{where}`"
        )
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    micros = (moment - _EPOCH) // _MICROSECOND
    if not TIME_MIN_US <= micros < TIME_MAX_US:
        raise Refused(Reason.BAD_TIME, f"{_RANGE}, got {value!s} - at `{where}`")
    return micros
