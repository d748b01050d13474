"""Scored rows with two episodes, a gap and an unknown band, made without a model."""

from __future__ import annotations

import numpy as np

from ember_core.pipeline import ScoredSeries

CHANNELS = ("cpu", "$\\frac{1}{2}", "disk\x1b[31m", "net", "mem")
ROWS, NEURONS = 1_009, 13
FIRST, SECOND = (211, 229), (701, 751)
BEGIN_US = 1_767_225_600_000_000


def scored(rows: int = ROWS) -> ScoredSeries:
    """Return rows of one key every 10 seconds."""
    rng = np.random.default_rng(3)
    c = len(CHANNELS)
    usual = np.sin(np.arange(rows) / 41.0)[:, None] + np.arange(c) * 10.0
    value = usual + 0.1 * rng.standard_normal((rows, c))
    severity = rng.exponential(0.4, rows).astype(np.float32)
    firing, trigger = np.zeros(rows, bool), np.zeros(rows, np.int8)
    for first, last in (FIRST, SECOND):
        firing[first : last + 1] = True
        trigger[first], trigger[last] = 1, -1
        severity[first : last + 1] = 6.0
        value[first:last, 3] += 5.0
    value[401:443, 1] = np.nan
    lower, upper = usual - 0.3, usual + 0.3
    lower[:, 4] = upper[:, 4] = np.nan
    contribution = np.full((rows, c), 0.1)
    contribution[:, 3] = 0.6
    return ScoredSeries(
        key=b"k",
        channels=CHANNELS,
        time_us=BEGIN_US + np.arange(rows, dtype=np.int64) * 10_000_000,
        score=rng.standard_normal(rows).astype(np.float32),
        severity=severity,
        evidence=0.9 * severity,
        threshold=np.full(rows, 4.0, np.float32),
        firing=firing,
        trigger=trigger,
        value=value,
        usual=usual,
        lower=lower,
        upper=upper,
        contribution=contribution,
        activation=np.tanh(rng.standard_normal((rows, NEURONS))).astype(np.float32),
    )
