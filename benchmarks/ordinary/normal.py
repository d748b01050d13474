"""The ordinary behaviour of one key, before any fault."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.paging.clock import Clock
from benchmarks.paging.fleet import Floats

from .signals import Rng, pulses


@dataclass(eq=False)
class Normal:
    """Ordinary telemetry of a key, and what faults need to know of it.

    Attributes:
        family: Kind of thing.
        values: `(n, C)`; of a counter its increase from row to row.
        idle: Each channel without any load, `(C,)`.
        job: What the nightly job adds, `(n, C)`.
        job_rows: First and last row of each run of the job.
        missing_rows: Mask of the rows that do not arrive, `(n,)`.
        restarts: Rows at which it booted: counters begin anew there.
    """

    family: str
    values: Floats
    idle: Floats
    job: Floats
    job_rows: list[tuple[int, int]] = field(default_factory=list)
    missing_rows: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    restarts: list[int] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class NightJob:
    """A job that a scheduler starts by the local clock.

    Attributes:
        activity: 0 to 1, `(n,)`.
        rows: First and last row of each run.
    """

    activity: Floats
    rows: list[tuple[int, int]]


def night_job(rng: Rng, clock: Clock, chance: float = 0.6) -> NightJob:
    """Draw a job of a key: nightly, on weekdays or weekly; some keys have none."""
    n = len(clock.times_us)
    hour = float(rng.uniform(0.5, 5.0))
    length = clock.rows(60 * float(rng.uniform(12, 50)))
    days = [range(7), range(5), (6,)][int(rng.choice(3, p=[0.6, 0.25, 0.15]))]
    if rng.random() >= chance:
        return NightJob(np.zeros(n), [])
    late = clock.rows(60)
    starts, lengths = [], []
    for row in clock.local_rows(hour).tolist():
        if int(clock.weekday[row]) in days or (len(days) < 7 and clock.weekday[row] == 6):
            starts.append(row + int(rng.integers(0, 2 * late + 1)))
            lengths.append(max(1, round(length * float(np.exp(0.08 * rng.standard_normal())))))
    rows = [(a, min(a + b, n) - 1) for a, b in zip(starts, lengths, strict=True) if a < n]
    return NightJob(pulses(starts, lengths, n), rows)


def arrival_losses(rng: Rng, clock: Clock, share: float = 0.0015) -> NDArray[np.bool_]:
    """Single rows that get lost, and a few minutes of them now and then, `(n,)`."""
    n = len(clock.times_us)
    missing_rows = rng.random(n) < share
    for _ in range(rng.poisson(n * clock.step / 86_400 / 12)):
        row = int(rng.integers(0, n))
        missing_rows[row : row + clock.rows(60 * float(rng.uniform(2, 20)))] = True
    return missing_rows


def reboots(rng: Rng, clock: Clock, every_days: float = 12.0) -> list[tuple[int, int]]:
    """First row and length of each reboot; the key sends nothing meanwhile."""
    n = len(clock.times_us)
    count = rng.poisson(n * clock.step / 86_400 / every_days)
    starts = sorted(rng.integers(0, n, count).tolist())
    return [(row, clock.rows(60 * float(rng.uniform(2, 5)))) for row in starts]
