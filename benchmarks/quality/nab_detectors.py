"""Simple detectors of single series, to be named beside the product on NAB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ember_core.evaluate import NabSeries, nab_probation

Floats = NDArray[np.float64]

WINDOW: Final = 1000
REFRACTORY: Final = 200
QUANTILE: Final = 0.98
FOLLOWED: Final = 2000  # records the running tail looks back
LEVELS: Final = (4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)  # severities at which it may report

Windows = Sequence[tuple[int, int]]


def candidates(
    series: Sequence[Floats], windows: Sequence[Windows]
) -> dict[str, dict[str, list[NabSeries]]]:
    """Detections of each detector, by reporting level where it has one.

    Args:
        series: Values of each series.
        windows: Labelled windows of each.
    """
    severities = [first_difference(x, nab_probation(len(x))) for x in series]
    return {
        "random": {"": _joined([random_score(x, k) for k, x in enumerate(series)], windows)},
        "windowed Gaussian": {"": _joined([windowed_gaussian(x) for x in series], windows)},
        "first difference, tail and refractory": {
            str(level): _joined([refractory(s, level) for s in severities], windows)
            for level in LEVELS
        },
    }


def _joined(scores: Sequence[Floats], windows: Sequence[Windows]) -> list[NabSeries]:
    return [NabSeries(s, w) for s, w in zip(scores, windows, strict=True)]


def random_score(values: Floats, seed: int) -> Floats:
    """Uniform numbers: what a figure is worth by chance."""
    return np.random.default_rng(seed).random(len(values))


def windowed_gaussian(values: Floats) -> Floats:
    """Normal probability of a value's distance from the mean of the last 1,000."""
    x = values - values[0]
    sums, square_sums = (np.concatenate([[0.0], np.cumsum(p)]) for p in (x, x * x))
    end = np.arange(len(x))
    begin = np.maximum(end - WINDOW, 0)
    n = np.maximum(end - begin, 1)
    mean = (sums[end] - sums[begin]) / n
    std = np.sqrt(np.maximum((square_sums[end] - square_sums[begin]) / n - mean * mean, 0.0))
    z = np.abs(x - mean) / np.where(std > 0.0, std, 1e-6)
    z[0] = 0.0
    return np.array([1.0 - 0.5 * math.erfc(v / math.sqrt(2.0)) for v in z])


def first_difference(values: Floats, probation: int) -> Floats:
    """Absolute first difference, by a running exponential tail: its severity per record."""
    difference = np.abs(np.diff(values, prepend=values[0]))
    head = difference[:probation]
    unit = float(np.median(head)) + 1e-3 * float(np.ptp(values[:probation])) + 1e-9
    logs = np.log(difference + unit)
    high = float(np.quantile(logs[:probation], QUANTILE))
    excesses = logs[:probation][logs[:probation] > high] - high
    excess = max(float(excesses.mean()) if excesses.size else 0.1, 0.1)
    out = np.zeros(len(values))
    for i, value in enumerate(logs.tolist()):
        out[i] = -math.log(1.0 - QUANTILE) + (value - high) / excess if value > high else 0.0
        weight = max(1.0 / (i + 25.0), 1.0 / FOLLOWED)
        is_high = value > high
        step = weight * (is_high - (1.0 - QUANTILE)) * excess / (1.0 - QUANTILE)
        if is_high:
            share = min(weight / (1.0 - QUANTILE), 0.5)
            excess = max(excess + share * (value - high - excess), 0.05)
        high += step
    return out


def refractory(severity: Floats, on: float, rows: int = REFRACTORY) -> Floats:
    """Severity where it reaches `on` and no detection lies within the last `rows` records."""
    out = np.zeros(len(severity))
    rested = 0
    for i in np.flatnonzero(severity >= on).tolist():
        if i >= rested:
            out[i] = severity[i]
            rested = i + rows
    return out
