"""Shares of departures that the channels of a key usually have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST = 6.0  # usual sizes: single rows far out do not count in full
_RIDGE = 0.05  # of each channel's own variance


def moments(departure: Any) -> NDArray[np.float64]:
    """Return the second moments of departures in usual sizes, `(C, C)`, of `(T, C)`."""
    x = np.clip(np.nan_to_num(departure), -_MOST, _MOST).astype(np.float64)
    return np.asarray(x.T @ x)


def shared_parts(together: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the share of every other channel's departure that a channel shows with it, `(C, C)`.

    Ridge regression of each channel on the others, over the whole fleet.

    Args:
        together: Second moments over the history, `(C, C)`.
    """
    count = len(together)
    out = np.zeros((count, count))
    for c in range(count):
        others = np.flatnonzero((np.arange(count) != c) & (np.diag(together) > 0))
        if not len(others):
            continue
        gram = together[np.ix_(others, others)]
        gram = gram + _RIDGE * np.diag(np.diag(gram))
        out[c, others] = np.linalg.solve(gram, together[others, c])
    return out.astype(np.float32)
