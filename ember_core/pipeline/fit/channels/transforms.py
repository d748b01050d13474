"""Choice of a transform for every channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ember_core.pipeline.evidence.transforms import ASINH, ROOT, Transforms
from ember_core.pipeline.fit.series import Series

KEYS: Final = 12
"""Keys that a transform is chosen on."""
_BLOCK = 20  # rows whose spread and level are compared
_GROUPS = 8  # of levels
_FEWEST = 200
_BETTER = 0.05  # in the standard deviation of the log spread over levels


def choose_transforms(series: Sequence[Series]) -> Transforms:
    """Return the transform of each channel under which the spread depends least on the level.

    The identity stays unless another one is clearly better. Channels with negative values keep it.

    Args:
        series: The fleet.
    """
    columns = series[0].values.shape[1]
    transforms = Transforms(columns)
    kind, width = np.zeros(columns, np.float32), np.ones(columns, np.float32)
    for c in range(columns):
        values = [s.values[:, c] for s in series[:KEYS]]
        values = [x[np.isfinite(x)] for x in values]
        values = [x for x in values if len(x) >= _FEWEST and np.ptp(x) > 0]
        if not values:
            continue
        best = _unevenness(values)
        for candidate, size in _candidates(values):
            trial = Transforms(1)
            trial.assign({"kind": np.array([candidate], "f4"), "width": np.array([size], "f4")})
            score = _unevenness([trial(x[:, None])[:, 0] for x in values])
            if score < best - _BETTER:
                best, kind[c], width[c] = score, candidate, size
    transforms.assign({"kind": kind, "width": width})
    return transforms


def _candidates(values: list[Any]) -> list[tuple[int, float]]:
    """Return the transforms that fit the values of a channel, of several keys."""
    if min(float(x.min()) for x in values) < 0:
        return []
    middle = float(np.median([np.median(x) for x in values]))
    candidates = [(ROOT, 1.0)]
    if middle > 0:
        candidates = [(ASINH, 0.1 * middle), (ASINH, 0.5 * middle), *candidates]
    return candidates


def _unevenness(values: list[Any]) -> float:
    """Return how much the log spread varies with the level, median over keys."""
    of_keys = []
    for x in values:
        n = len(x) // _BLOCK
        blocks = x[: n * _BLOCK].reshape(n, _BLOCK)
        level = np.median(blocks, axis=1)
        spread = np.abs(np.diff(blocks, axis=1)).mean(axis=1)
        groups = np.array_split(spread[np.argsort(level, kind="stable")], _GROUPS)
        middle = np.array([np.median(group) for group in groups]) + 1e-3 * float(np.std(x)) + 1e-12
        of_keys.append(float(np.std(np.log(middle + 0.05 * middle.mean()))))
    return float(np.median(of_keys))
