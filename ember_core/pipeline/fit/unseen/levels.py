"""Levels that the keys of a fleet have, and the values from which a new key may learn its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ember_core.pipeline.fit.scales import BLOCKS, MIN_FLEET, MOST_OF_FEATURES, rows_of_prior

WINDOW = 30
"""Rows over which a level is taken."""
RARE = 1e-3
"""Share of a key's rows on either side that do not count for what its fleet has shown."""
BEYOND = 2.0
"""Widening of what a fleet has shown, in shares of it, over the root of the number of keys: of few
keys the next one is often outside."""


class Levels(NamedTuple):
    """Levels of the keys of a fleet, each `(C,)`.

    Attributes:
        mean: Mean over the keys.
        rows: Rows of its own that it counts as for a new key; 0: none.
        lowest: Smallest level that the fleet has shown, a margin taken off.
        highest: Largest.
    """

    mean: Any
    rows: Any
    lowest: Any
    highest: Any


def fleet_levels(values: Sequence[Any], scale: Any) -> Levels | None:
    """Return the levels of a fleet's keys; None where they are too few to be one.

    Args:
        values: Rows of each key, `(T, C)`, NaN where missing.
        scale: Usual deviation of a channel, `(C,)`, in the same unit.
    """
    if len(values) < MIN_FLEET:
        return None
    keys, channels = len(values), len(scale)
    means, blocks = np.zeros((keys, channels)), np.zeros((keys, BLOCKS, channels))
    lowest, highest = np.full(channels, np.inf), np.full(channels, -np.inf)
    for k, rows in enumerate(values):
        means[k] = _mean(rows, np.zeros(channels))
        for i, block in enumerate(np.array_split(rows, BLOCKS)):
            blocks[k, i] = _mean(block, means[k])
        rolling_means = _rolling(rows)
        if len(rolling_means):
            low, high = np.nanquantile(rolling_means, [RARE, 1.0 - RARE], axis=0)
            lowest, highest = np.fmin(lowest, low), np.fmax(highest, high)
    mean = means.mean(axis=0)
    lowest, highest = (
        np.where(np.isfinite(lowest), lowest, mean),
        np.where(np.isfinite(highest), highest, mean),
    )
    margin = BEYOND / np.sqrt(keys) * np.maximum(highest - lowest, scale)
    block_rows = float(np.mean([len(rows) for rows in values])) / BLOCKS
    rows_of_mean = rows_of_prior(means / scale, blocks / scale, block_rows, MOST_OF_FEATURES)
    return Levels(mean, rows_of_mean, lowest - margin, highest + margin)


def _mean(rows: Any, otherwise: Any) -> Any:
    """Return the mean of the values there are, `(C,)`."""
    finite = np.isfinite(rows)
    count = finite.sum(axis=0)
    return np.where(
        count, np.where(finite, rows, 0.0).sum(axis=0) / np.maximum(count, 1), otherwise
    )


def _rolling(rows: Any) -> Any:
    """Return the means of `WINDOW` rows, `(N, C)`, NaN where a channel has none."""
    if len(rows) < WINDOW or not np.isfinite(rows).any(axis=0).all():
        return np.zeros((0, rows.shape[1]))
    finite = np.isfinite(rows)
    sums = np.cumsum(np.where(finite, rows, 0.0), axis=0)
    counts = np.cumsum(finite, axis=0)
    first = np.zeros((1, rows.shape[1]))
    total = sums[WINDOW - 1 :] - np.vstack([first, sums[:-WINDOW]])
    count = counts[WINDOW - 1 :] - np.vstack([first, counts[:-WINDOW]])
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
