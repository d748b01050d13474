"""A small fleet's history, and a model fitted on it."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import FleetModel, PipelineConfig
from ember_core.pipeline.fit import Series, fit_pipeline

START = 1_700_000_000_000_000
ROW_US = 10_000_000
CHANNELS = ("load", "heat", "flow")
SMALL = {
    "hidden": 8,
    "rbm_hidden": 11,
    "horizons": (1, 2),
    "residuals": (2,),
    "warmup_score": 70,
    "warmup_alarm": 90,
    "quiet_rows": 64,
}


def signal(rows, number=0, part=1, channels=3):
    """Noise with a short memory `(T, C)`, level and size those of key `number`."""
    own, rng = np.random.default_rng([number]), np.random.default_rng([number, part])
    level, size = 100.0 * own.standard_normal(channels), own.uniform(2.0, 9.0, channels)
    x = rng.standard_normal((rows, channels))
    for t in range(1, rows):
        x[t] += 0.7 * x[t - 1]
    return level + size * x


def times(rows, start=START):
    return start + np.arange(rows, dtype=np.int64) * ROW_US


def history(rows=(223, 180)):
    return [
        Series(b"key-%d" % n, times(r, START - r * ROW_US), signal(r, n, part=0))
        for n, r in enumerate(rows)
    ]


def fit(series=None, *, epochs=5, channels=CHANNELS, **config) -> FleetModel:
    return fit_pipeline(
        history() if series is None else series,
        PipelineConfig(channels=channels, **(SMALL | config)),
        epochs=epochs,
    )


@pytest.fixture(scope="session")
def fitted() -> FleetModel:
    """Two known keys, three channels; not to be changed."""
    return fit()
