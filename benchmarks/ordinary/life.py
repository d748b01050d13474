"""Common fate of a fleet on ordinary days: deployments, scale-outs, holes in collection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.paging.clock import Clock
from benchmarks.paging.fleet import Floats

from .signals import Rng

DEPLOYMENT_EVERY_DAYS = 4.0
SCALE_OUTS_A_WEEK = 3.0


@dataclass(frozen=True)
class Deployment:
    """New software on some of the keys, for good.

    Attributes:
        row: Row of the first key; the others follow within a quarter of an hour.
        keys: Keys that get it.
        cpu: Factor of the cost of a request from then on.
        latency: Factor of its latency.
        memory: Points of memory more or less.
    """

    row: int
    keys: NDArray[np.bool_]
    cpu: float
    latency: float
    memory: float


@dataclass(frozen=True, eq=False)
class Life:
    """Common fate of the keys of a fleet.

    Attributes:
        deployments: In order of time, in the training part as in the scored one.
        share: Factor of each key's load while others help, `(n,)`.
        missing_rows: Mask of the rows that no collector kept, of any key, `(n,)`.
    """

    deployments: tuple[Deployment, ...]
    share: Floats
    missing_rows: NDArray[np.bool_]


def life_of(rng: Rng, clock: Clock, keys: int) -> Life:
    """Draw the common fate of so many keys."""
    n = len(clock.times_us)
    days = n * clock.step / 86_400
    deployments = []
    for _ in range(rng.poisson(days / DEPLOYMENT_EVERY_DAYS)):
        row = int(rng.integers(0, n))
        office = (clock.hour > 9) & (clock.hour < 17) & (clock.weekday < 4)
        office_rows = np.flatnonzero(office[row:])
        if office_rows.size:
            row += int(office_rows[0]) + int(rng.integers(0, clock.rows(3600 * 4)))
        deployments.append(
            Deployment(
                row=min(row, n - 1),
                keys=rng.random(keys) < rng.choice([0.25, 0.5, 1.0]),
                cpu=float(np.exp(0.06 * rng.standard_normal())),
                latency=float(np.exp(0.08 * rng.standard_normal())),
                memory=float(2.0 * rng.standard_normal()),
            )
        )
    deployments.sort(key=lambda one: one.row)
    share = np.ones(n)
    for _ in range(rng.poisson(days / 7 * SCALE_OUTS_A_WEEK)):
        row, length = int(rng.integers(0, n)), clock.rows(3600 * float(rng.uniform(1, 5)))
        share[row : row + length] *= float(rng.choice([0.67, 0.75, 0.8]))
    missing_rows = np.zeros(n, dtype=bool)
    for _ in range(rng.poisson(days / 10)):
        row = int(rng.integers(0, n))
        missing_rows[row : row + clock.rows(60 * float(rng.uniform(5, 40)))] = True
    return Life(tuple(deployments), share, missing_rows)
