"""Times in numbers: epochs, dates as digits, days of a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

EARLIEST_US = -2_208_988_800_000_000
"""1900-01-01T00:00:00Z, the earliest time read."""

LATEST_US = 9_214_646_400_000_000
"""2262-01-01T00:00:00Z, the first time refused: beyond it nanoseconds overflow int64."""

_LIMITS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"))
_DIGITS = (  # dates as numbers: lowest, highest, divisor that leaves YYYYMMDD
    (19_000_101, 21_001_231, 1),
    (19_000_101_0000, 21_001_231_2359, 10**4),
    (19_000_101_000000, 21_001_231_235960, 10**6),
)
_DAY_US = 86_400_000_000
_EXCEL_EPOCH_US = -25_569 * _DAY_US

# Whole numbers are exact; digits below a microsecond are dropped. Floats are rounded, and stay
# floats until they are known to fit.
_FROM_INT: dict[str, Callable[[Integers], Integers]] = {
    "s": lambda t: t * 1_000_000,
    "ms": lambda t: t * 1_000,
    "us": lambda t: t,
    "ns": lambda t: t // 1_000,
    "index": lambda t: t * 60_000_000,
    "excel": lambda t: t * _DAY_US + _EXCEL_EPOCH_US,
}
_INT_BOUNDS = {
    "s": (EARLIEST_US // 1_000_000, LATEST_US // 1_000_000),
    "ms": (EARLIEST_US // 1_000, LATEST_US // 1_000),
    "us": (EARLIEST_US, LATEST_US),
    "ns": (EARLIEST_US * 1_000, LATEST_US * 1_000),
    "index": (EARLIEST_US // 60_000_000, LATEST_US // 60_000_000),
    "excel": (1, (LATEST_US - _EXCEL_EPOCH_US) // _DAY_US),
}
_FROM_FLOAT: dict[str, Callable[[Floats], Floats]] = {
    "s": lambda t: np.rint(t * 1e6),
    "ms": lambda t: np.rint(t * 1e3),
    "us": np.rint,
    "ns": lambda t: np.floor(t / 1e3),
    "index": lambda t: np.rint(t * 6e7),
    # A day's fraction has some 1e-11 of a day at this size: whole milliseconds are exact.
    "excel": lambda t: np.rint(t * 86_400e3) * 1e3 + _EXCEL_EPOCH_US,
}


def is_date_number(number: int) -> bool:
    """Test for a number that `auto` reads as YYYYMMDD, with HHMM or HHMMSS behind it."""
    return any(low <= number <= high for low, high, _ in _DIGITS)


def from_integers(times: Sequence[int] | Integers, unit: str) -> tuple[Integers, Mask, Mask]:
    """Convert whole numbers of any size.

    Returns:
        `(n,)` microseconds, those read, and those that are local times (dates as digits).
    """
    fits = np.ones(len(times), dtype=np.bool_)
    try:
        t = (
            times.astype(np.int64)
            if isinstance(times, np.ndarray)
            else np.fromiter(times, dtype=np.int64, count=len(times))
        )
    except OverflowError:
        # JSON's integers have no bound: those beyond 64 bits are refused, the others are kept.
        edge = 1 << 63
        fits = np.fromiter((-edge <= x < edge for x in times), dtype=np.bool_, count=len(times))
        t = np.array([x if ok else 0 for x, ok in zip(times, fits.tolist(), strict=True)])
        t = t.astype(np.int64)
    out = np.zeros_like(t)
    local = np.zeros(len(t), dtype=np.bool_)
    digits = np.zeros(len(t), dtype=np.bool_)
    if unit == "auto":
        digits = _dates(t, out, fits)
        local = digits & fits
    for name, mask in _units(np.abs(t), unit):
        mask &= ~digits
        low, high = _INT_BOUNDS[name]
        accepted = mask & (t >= low) & (t < high)
        out[accepted] = _FROM_INT[name](t[accepted])
        fits &= accepted | ~mask
    return out, fits, local


def from_floats(times: Sequence[float] | Floats, unit: str) -> tuple[Integers, Mask, Mask]:
    """Convert floats; see `from_integers`."""
    t = np.array(times, dtype=np.float64)
    fits = np.isfinite(t) & (np.abs(t) < 1e19)
    t = np.where(fits, t, 0.0)
    out = np.zeros(len(t), dtype=np.int64)
    local = np.zeros(len(t), dtype=np.bool_)
    digits = np.zeros(len(t), dtype=np.bool_)
    if unit == "auto":
        # A column with gaps is made of floats: its dates are whole.
        exact = np.where(np.abs(t) < 2.0**53, t, 0.0)
        digits = _dates(np.where(exact == np.floor(exact), exact, 0.0).astype(np.int64), out, fits)
        local = digits & fits
    for name, mask in _units(np.abs(t), unit):
        mask &= ~digits
        micros = _FROM_FLOAT[name](t)
        accepted = mask & (micros >= EARLIEST_US) & (micros < LATEST_US)
        if name == "excel":
            accepted &= t >= 1.0
        out[accepted] = micros[accepted].astype(np.int64)
        fits &= accepted | ~mask
    return out, fits, local


def _units(size: Integers | Floats, unit: str) -> Iterator[tuple[str, Mask]]:
    """Assign each time to a unit: pairs of a unit and the mask of its times."""
    if unit != "auto":
        yield unit, np.ones(len(size), dtype=np.bool_)
        return
    remaining = np.ones(len(size), dtype=np.bool_)
    for limit, name in _LIMITS:
        mask = remaining & (size < limit)
        remaining &= ~mask
        if mask.any():
            yield name, mask
    if remaining.any():
        yield "ns", remaining


def _dates(t: Integers, out: Integers, fits: Mask) -> Mask:
    """Convert YYYYMMDD, YYYYMMDDHHMM and YYYYMMDDHHMMSS into `out`.

    Returns:
        The numbers of that form, `(n,)`; those of no date are no longer in `fits`.
    """
    dates = np.zeros(len(t), dtype=np.bool_)
    for low, high, divisor in _DIGITS:
        mask = (t >= low) & (t <= high)
        if not mask.any():
            continue
        dates |= mask
        date, clock = np.divmod(t[mask], divisor)
        if divisor == 10**4:
            clock *= 100
        year, month, day = date // 10_000, date // 100 % 100, date % 100
        hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
        valid = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
        valid &= (minute <= 59) & (second <= 60) & (hour * 10_000 + clock % 10_000 <= 24 * 10_000)
        months = ((year - 1970) * 12 + np.where(valid, month, 1) - 1).astype("datetime64[M]")
        days = months.astype("datetime64[D]").astype(np.int64) + day - 1
        valid &= days < (months + 1).astype("datetime64[D]").astype(np.int64)
        seconds = days * 86_400 + hour * 3_600 + minute * 60 + second
        out[mask] = np.where(valid, seconds * 1_000_000, 0)
        fits[mask] &= valid
    return dates
