"""A small fleet with a working week, and a model of it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline

CHANNELS = ("load", "latency", "errors", "disk")
STEP_US = 600_000_000
START_US = 1_767_571_200_000_000  # Monday, 5 January 2026
DAY_ROWS = 144
DAYS = 14


def rows(key: int, first_row: int, count: int, seed: int = 0) -> NDArray[np.float64]:
    """Ordinary rows of a key, `(count, 4)`."""
    rng = np.random.default_rng([seed, key, first_row])
    t = first_row + np.arange(count)
    day = np.sin(2 * np.pi * (t % DAY_ROWS) / DAY_ROWS)
    works = (t // DAY_ROWS) % 7 < 5
    load = 40 + 2 * key + 20 * day * works + rng.normal(0, 2, count)
    latency = (20 + key) * np.exp(0.4 * day + 0.05 * rng.normal(size=count))
    errors = rng.poisson(0.5, count).astype(float)
    disk = 50 + 0.3 * np.cumsum(rng.normal(size=count))
    return np.stack([load, latency, errors, disk], axis=1)


def times(first_row: int, count: int) -> NDArray[np.int64]:
    """Times of the rows, in microseconds."""
    return START_US + STEP_US * (first_row + np.arange(count, dtype=np.int64))


def history(keys: int = 9, days: int = DAYS) -> list[Series]:
    """The history of a fleet."""
    n = days * DAY_ROWS
    return [Series(f"host-{k}", times(0, n), rows(k, 0, n)) for k in range(keys)]


@cache
def model() -> FleetModel:
    """A model with channel evidence; not to be changed."""
    config = PipelineConfig(CHANNELS, evidence="channels+joint", hidden=16, rbm_hidden=16)
    return fit_pipeline(history(), config, epochs=1).to(backend="numpy")
