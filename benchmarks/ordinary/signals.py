"""Building blocks of telemetry: wandering noise, bursts, day shapes, sawtooth, counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.paging.clock import Clock
from benchmarks.paging.fleet import Floats

Rng = np.random.Generator


def wander(rng: Rng, clock: Clock, seconds: float) -> Floats:
    """Smooth noise of deviation about 1 that changes within so many seconds, `(n,)`."""
    n = len(clock.times_us)
    rows_apart = max(seconds / clock.step, 1.0)
    if rows_apart <= 1.0:
        return rng.standard_normal(n)
    knots = rng.standard_normal(int(n / rows_apart) + 3)
    # Between two knots the variance falls to a half: the factor makes up for it in the mean.
    return 1.22 * np.interp(np.arange(n) / rows_apart + rng.random(), np.arange(len(knots)), knots)


def noise(rng: Rng, clock: Clock, size: float, spans: Sequence[float] = (1, 300, 7200)) -> Floats:
    """Noise of several time scales, from row to row up to hours, `(n,)`."""
    total = np.zeros(len(clock.times_us))
    for span in spans:
        total += wander(rng, clock, span)
    return total * float(size / np.sqrt(len(spans)))


def walk(rng: Rng, clock: Clock, a_day: float, pull_days: float = 3.0) -> Floats:
    """Random walk that moves by `a_day` in a day and is drawn back within some days, `(n,)`."""
    n = len(clock.times_us)
    block = max(1, clock.rows(600))
    steps = rng.standard_normal(n // block + 2) * a_day / 12.0
    keep = float(np.exp(-600.0 / (pull_days * 86_400)))
    levels = np.empty(len(steps))
    level = rng.standard_normal() * a_day
    for i, step in enumerate(steps.tolist()):
        level = keep * level + step
        levels[i] = level
    return np.interp(np.arange(n) / block, np.arange(len(levels)), levels)


def day_shape(rng: Rng, busy: Sequence[float], spread: float = 0.08) -> Floats:
    """Load by hour of the day, 24 values around `busy`, made a little different."""
    wobble = np.exp(spread * rng.standard_normal(24))
    out: Floats = np.asarray(busy, dtype=float) * (0.25 * np.roll(wobble, 1) + 0.5 * wobble + 0.25)
    return out


def by_hour(shape: Floats, hour: Floats) -> Floats:
    """Read a day shape at fractional hours; the day closes on itself, `(n,)`."""
    out: Floats = np.interp(hour, np.arange(25), np.append(shape, shape[0]))
    return out


def bursts(rng: Rng, clock: Clock, a_day: float, size: float, minutes: float) -> Floats:
    """Factor of at least 1: bursts with heavy tails in size and length, `(n,)`."""
    n = len(clock.times_us)
    out = np.ones(n)
    count = rng.poisson(a_day * n * clock.step / 86_400)
    for begin in rng.integers(0, n, count).tolist():
        length = clock.rows(60.0 * minutes * float(rng.lognormal(0.0, 0.7)))
        height = size * min(float(rng.pareto(3.0)) + 0.3, 4.0)
        end = min(n, begin + length)
        x = np.arange(end - begin) / length
        out[begin:end] *= 1.0 + height * np.minimum(1.0, 6.0 * np.minimum(x, 1.0 - x) + 0.1)
    return out


def sawtooth(rng: Rng, clock: Clock, hours: float, scatter: float = 0.3) -> Floats:
    """Rises from 0 to 1 and falls at once, every so many hours give or take, `(n,)`."""
    n = len(clock.times_us)
    out = np.empty(n)
    row = -int(rng.integers(0, clock.rows(3600.0 * hours) + 1))
    while row < n:
        length = clock.rows(3600.0 * hours * float(np.exp(scatter * rng.standard_normal())))
        begin, end = max(row, 0), min(n, row + length)
        if end > begin:
            out[begin:end] = (np.arange(begin, end) - row) / length
        row += length
    return out


def heavy(rng: Rng, n: int, size: float, freedom: float = 3.0) -> Floats:
    """Noise from row to row with heavy tails, bounded at 12 deviations, `(n,)`."""
    out: Floats = size * np.clip(rng.standard_t(freedom, n) / 1.5, -12.0, 12.0)
    return out


def pulses(starts: Sequence[int], lengths: Sequence[int], n: int) -> Floats:
    """1 inside the given spans, with edges of a tenth, `(n,)`."""
    out = np.zeros(n)
    for begin, length in zip(starts, lengths, strict=True):
        end = min(n, begin + length)
        if end > max(begin, 0):
            x = (np.arange(max(begin, 0), end) - begin + 0.5) / length
            out[max(begin, 0) : end] = np.minimum(1.0, 10.0 * np.minimum(x, 1.0 - x) + 0.3)
    return out
