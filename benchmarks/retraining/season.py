"""A small fleet over months: its season drifts, software is deployed, and there are incidents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from benchmarks.ordinary.hosts import CHANNELS, host
from benchmarks.ordinary.life import Deployment, Life
from benchmarks.ordinary.placing import Plot, arrived
from benchmarks.paging.clock import Clock, clock_of
from benchmarks.paging.fleet import DAY_US, Floats
from ember_core.pipeline.fit import Incident, Series

ZONE: Final = "Europe/Berlin"
ROLES: Final = ("web", "web", "database", "queue", "batch", "gateway")
START: Final = datetime(2025, 5, 5, tzinfo=UTC)
GROWTH, EVENING = 0.3, 0.3
"""Share by which load grows over the days of service, and by which evenings grow more."""
DEPLOYED: Final = (20.0, 40.0)
"""Days of service at which new software is deployed."""
INCIDENTS: Final = 5


@dataclass(frozen=True, eq=False)
class Season:
    """Telemetry of the fleet.

    Attributes:
        series: Rows of the keys.
        incidents: Faults among the days of service.
        begin_us: First time of service; rows before it are the first history.
    """

    series: list[Series]
    incidents: list[Incident]
    begin_us: int

    def day(self, number: float) -> int:
        """Return the time of a day of service."""
        return self.begin_us + round(number * DAY_US)

    def between(self, first: float, end: float) -> list[Series]:
        """Return the rows from a day of service up to another one."""
        out = []
        for s in self.series:
            begin, stop = np.searchsorted(s.time_us, [self.day(first), self.day(end)])
            out.append(s.rows(int(begin), int(stop)))
        return out


def simulate(seed: int, keys: int, before: float, days: float, step: float) -> Season:
    """Simulate a fleet.

    Args:
        seed: Seed of everything.
        keys: Number of keys.
        before: Days of history before the service begins.
        days: Days of service.
        step: Seconds between rows.
    """
    common, placing, *key_rngs = (
        np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(keys + 2)
    )
    n = round((before + days) * 86_400 / step)
    first = round(START.timestamp()) * 1_000_000
    clock = clock_of(first + np.round(np.arange(n) * step * 1e6).astype(np.int64), step, ZONE)
    begin = round(before * 86_400 / step)
    life = Life(
        tuple(_deployment(common, clock, begin, day, keys) for day in DEPLOYED),
        _drift(clock, begin),
        np.zeros(n, dtype=bool),
    )
    shapes: dict[str, Floats] = {}
    names = [f"{ROLES[k % len(ROLES)]}-{k:02d}" for k in range(keys)]
    normals = [
        host(key_rngs[k], clock, life, k, ROLES[k % len(ROLES)], shapes) for k in range(keys)
    ]
    plot = Plot(clock, CHANNELS, names, normals, begin)
    plot.put(placing, INCIDENTS, 0)
    series, incidents = [], []
    for name, normal, faults in zip(names, normals, plot.faults, strict=True):
        rows, values, key_faults = arrived(normal, faults, CHANNELS, ())
        times = clock.times_us[rows]
        series.append(Series(name.encode(), times.view("datetime64[us]"), values))
        incidents += [
            Incident(name.encode(), int(times[fault.first]), int(times[fault.last]))
            for fault in key_faults
        ]
    return Season(series, incidents, first + round(before * DAY_US))


def with_incident(season: Season, first: float, end: float, seed: int) -> Season:
    """Return the fleet with an incident of all keys: load that jumps from hour to hour.

    Args:
        season: The fleet.
        first: Day of service at which it begins.
        end: Day at which it ends.
        seed: Seed of its course.
    """
    rng = np.random.default_rng(seed)
    out = []
    for s in season.series:
        begin, stop = np.searchsorted(s.time_us, [season.day(first), season.day(end)])
        values, size = s.values.copy(), np.nanquantile(s.values, 0.95, axis=0)
        size = np.maximum(size - np.nanquantile(s.values, 0.05, axis=0), 1e-3)
        hours = s.time_us[begin:stop] // (DAY_US // 24)
        _, hour_number = np.unique(hours, return_inverse=True)
        course = np.abs(rng.normal(0.0, 1.5, (hour_number.max(initial=0) + 1, len(size))))[
            hour_number
        ]
        values[begin:stop] += size * course
        out.append(s.with_values(values))
    return Season(out, season.incidents, season.begin_us)


def _deployment(
    rng: np.random.Generator, clock: Clock, begin: int, day: float, keys: int
) -> Deployment:
    return Deployment(
        row=begin + clock.rows(86_400 * day) + clock.rows(3600 * 10),
        keys=rng.random(keys) < 0.5,
        cpu=1.15,
        latency=1.2,
        memory=3.0,
    )


def _drift(clock: Clock, begin: int) -> Floats:
    """Return the factor of the load: it grows, and evenings grow more."""
    n = len(clock.times_us)
    share = np.maximum(np.arange(n) - begin, 0) / max(n - begin, 1)
    evening = 0.5 + 0.5 * np.cos(2.0 * np.pi * (clock.hour - 20.0) / 24.0)
    return np.asarray((1.0 + GROWTH * share) * (1.0 + EVENING * share * evening))
