"""Faults put into clean telemetry, to compare detectors without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARE = 0.15  # of the rows that are made faulty
LENGTHS = (np.log(10.0), np.log(300.0))  # of a fault, in rows, but for spikes
GAP = 20  # clean rows between two faults, at least


def inject(values: Floats, scale: Floats, rng: np.random.Generator) -> tuple[Floats, Any]:
    """Put faults of every kind into a series.

    Args:
        values: Rows, shape `(T, C)`; NaN where missing.
        scale: The channels' own usual deviations, shape `(C,)`, which faults are sized in.
        rng: Random generator of kind, place, size and channels.

    Returns:
        The series with faults, and per row the index of the fault's kind in `KINDS`, -1 where
        there is none, shape `(T,)`, int8.
    """
    out = values.copy()
    kind_of = np.full(len(values), -1, dtype=np.int8)
    names = list(KINDS)
    start, turn = GAP, int(rng.integers(len(names)))
    moving = np.flatnonzero(np.std(np.where(np.isfinite(values), values, 0.0), axis=0) > 0)
    if not moving.size:
        return out, kind_of
    while True:
        fault = KINDS[names[turn % len(names)]]
        n = int(rng.integers(1, 4)) if fault is _spike else int(np.exp(rng.uniform(*LENGTHS)))
        if start + 2 * n >= len(values):
            return out, kind_of
        n_channels = min(moving.size, int(rng.integers(1, 2 + moving.size // 4)))
        channels = rng.choice(moving, n_channels, replace=False)
        part = values[start : start + 2 * n, channels]
        out[start : start + n, channels] = fault(part, scale[channels], rng)
        kind_of[start : start + n] = turn % len(names)
        start += n + GAP + int(rng.exponential(n / SHARE))
        turn += 1


def _signs(x: Floats, rng: np.random.Generator) -> Floats:
    """Draw a direction for each channel, `(C,)`."""
    return np.asarray(rng.choice(np.array([-1.0, 1.0]), x.shape[1]))


def _spike(x: Floats, scale: Floats, rng: np.random.Generator) -> Floats:
    return x[: len(x) // 2] + _signs(x, rng) * scale * rng.uniform(2.0, 5.0)


def _shift(x: Floats, scale: Floats, rng: np.random.Generator) -> Floats:
    return x[: len(x) // 2] + _signs(x, rng) * scale * rng.uniform(1.0, 3.0)


def _drift(x: Floats, scale: Floats, rng: np.random.Generator) -> Floats:
    ramp = np.linspace(0.0, 1.0, len(x) // 2)[:, None]
    return x[: len(x) // 2] + ramp * _signs(x, rng) * scale * rng.uniform(2.0, 4.0)


def _stuck(x: Floats, scale: Floats, rng: np.random.Generator) -> Floats:
    del scale, rng
    return np.repeat(x[:1], len(x) // 2, axis=0)


def _swap(x: Floats, scale: Floats, rng: np.random.Generator) -> Floats:
    """Let channels keep their means and take each other's course; mirror a single one."""
    n, c = len(x) // 2, x.shape[1]
    finite = np.isfinite(x)
    mean = np.where(finite, x, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    course = (x[:n] - mean) / scale
    swapped = -course if c == 1 else np.roll(course, int(rng.integers(1, c)), axis=1)
    return np.asarray(mean + swapped * scale, dtype=np.float64)


def _frequency(x: Floats, scale: Floats, rng: np.random.Generator) -> Floats:
    """Run the series at twice its speed."""
    del scale, rng
    return x[: len(x) // 2 * 2 : 2]


KINDS: dict[str, Callable[[Floats, Floats, np.random.Generator], Floats]] = {
    "spike": _spike,
    "level shift": _shift,
    "drift": _drift,
    "stuck": _stuck,
    "swapped": _swap,
    "frequency": _frequency,
}
