"""Periods worth a closer look: those of the calendar, lines of the spectrum, likeness to itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .binned import CYCLES, Binned

SHORTEST_ROWS: Final = 10
"""Shortest period, in rows."""

DAY_US: Final = 86_400_000_000
WEEK_US: Final = 7 * DAY_US
CALENDAR_US: Final = (
    *(60_000_000 * minutes for minutes in (1, 2, 5, 10, 15, 20, 30)),
    *(3_600_000_000 * hours for hours in (1, 2, 3, 4, 6, 8, 12)),
    DAY_US,
    WEEK_US,
)
"""Periods that people and machines keep to."""

_WEEK_CYCLES = 1.9  # two weeks but for some hours: a usual history holds no more
_PADDING = 4  # of the spectrum: a peak then lies within an eighth of a line's width
_WIDTH = 1.6  # factor of frequency within which a spectrum without lines is level
_LEAST_WIDTH = 6 * _PADDING
_LINE = 8.0  # height of a line over the level about it
_LINES = 6  # of a channel
_MOST_LINES = 16  # of a fleet
_MULTIPLES = (1, 2, 3)  # a shape may have more in its harmonics than in its period
_LIKE = 0.2  # correlation with itself from which a shift is looked at
_NEARLY = 0.85  # share of the largest correlation at which a shorter shift is the period

FloatArray = NDArray[np.float64]


def candidates(keys: Sequence[Binned]) -> list[float]:
    """Return periods in microseconds that may be in the history, the shortest first.

    Args:
        keys: Histories of some keys.
    """
    span = max(b.span_us for b in keys)
    shortest = SHORTEST_ROWS * min(b.step_us for b in keys)
    lines, likenesses = [], []
    for binned in keys:
        key_lines, key_shifts = _of_key(binned)
        lines += key_lines
        likenesses += key_shifts
    frequencies = _merged(sorted(lines, reverse=True), 1.0 / span)[:_MOST_LINES]
    free = [multiple / f for f in frequencies for multiple in _MULTIPLES] + likenesses
    periods = [float(c) for c in CALENDAR_US if shortest <= c and cycles_needed(c) * c <= span]
    for period in sorted(free):
        distances = [abs(1.0 / period - 1.0 / neighbour) * span for neighbour in periods]
        if shortest <= period <= span / CYCLES and min(distances, default=1.0) > 0.3:
            periods.append(period)
    return sorted(periods)


def cycles_needed(period_us: float) -> float:
    """Return the number of cycles that a history has to hold of a period."""
    return _WEEK_CYCLES if period_us == WEEK_US else CYCLES


def _of_key(binned: Binned) -> tuple[list[tuple[float, float]], list[float]]:
    """Return the lines of a key's channels, height and frequency, and shifts they repeat at."""
    residual, _ = binned.departures(binned.span_us / CYCLES)
    n = residual.shape[1]
    size = 1 << (_PADDING * n - 1).bit_length()
    power = np.abs(np.fft.rfft(residual, size, axis=1)) ** 2
    lines = _lines(power, 1.0 / (size * binned.step_us), binned)
    correlation = np.fft.irfft(power, size, axis=1)[:, : n // 2]
    usable = correlation[:, 0] > 1e-9
    unbiased = correlation[usable] / correlation[usable, :1] * (n / (n - np.arange(n // 2)))
    shifts = [_repeats(row, int(n / CYCLES)) for row in unbiased]
    return lines, [s * binned.step_us for s in shifts if s is not None]


def _lines(power: FloatArray, unit: float, binned: Binned) -> list[tuple[float, float]]:
    low = max(2, int(CYCLES / binned.span_us / unit))
    high = int(1.0 / (SHORTEST_ROWS * binned.step_us) / unit) + 1
    high = min(power.shape[1] - 2, high)
    if high <= low:
        return []
    height = power / _level(power)
    height[:, 1:-1] *= (power[:, 1:-1] > power[:, :-2]) & (power[:, 1:-1] >= power[:, 2:])
    out = []
    for row in height[:, low:high]:
        top = np.argpartition(row, -min(_LINES, len(row)))[-_LINES:]
        out += [(float(row[i]), (low + i) * unit) for i in top.tolist() if row[i] > _LINE]
    return out


def _level(power: FloatArray) -> FloatArray:
    """Return the level of a spectrum about each frequency: the geometric mean of its neighbours.

    A random walk has all its power at long periods: a line is high beside its neighbours only.
    """
    n = power.shape[1]
    floor = 1e-12 * power.max(axis=1, initial=0.0, keepdims=True) + 1e-300
    total = np.pad(np.cumsum(np.log(power + floor), axis=1), ((0, 0), (1, 0)))
    number = np.arange(n)
    begin = np.maximum(np.minimum((number / _WIDTH).astype(int), number - _LEAST_WIDTH), 1)
    end = np.minimum(np.maximum((number * _WIDTH).astype(int), number + _LEAST_WIDTH), n)
    return np.asarray(np.exp((total[:, end] - total[:, begin]) / np.maximum(end - begin, 1)))


def _merged(lines: list[tuple[float, float]], width: float) -> list[float]:
    """Return the frequencies of lines, the highest first, one of those within a width."""
    frequencies: list[float] = []
    for _, frequency in lines:
        if all(abs(frequency - stronger) > width for stronger in frequencies):
            frequencies.append(frequency)
    return frequencies


def _repeats(correlation: FloatArray, longest: int) -> float | None:
    """Return the shift at which a channel is most like itself, the shortest of those alike.

    Shifts by several cycles make it exact to a fraction of a bin.
    """
    negative = np.flatnonzero(correlation[:longest] < 0)
    start = max(SHORTEST_ROWS, int(negative[0])) if negative.size else longest
    if start >= longest - 1:
        return None
    part = correlation[start:longest]
    peaks = np.flatnonzero((part[1:-1] > part[:-2]) & (part[1:-1] >= part[2:])) + 1 + start
    if not peaks.size or correlation[peaks].max() < _LIKE:
        return None
    similar = peaks[correlation[peaks] >= _NEARLY * correlation[peaks].max()]
    shift = float(similar[0])
    for cycles in range(2, int(len(correlation) / shift)):
        low, high = int((cycles - 0.1) * shift), int((cycles + 0.1) * shift) + 2
        if high > len(correlation):
            break
        shift = (low + int(np.argmax(correlation[low:high]))) / cycles
    return shift
