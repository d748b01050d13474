"""Silent keys, by the partition's clock: who went stale at which sample of a batch.

A key is silent once the largest event time of its partition has moved on by `N` of the key's
usual intervals since the key last sent. That depends on the order of the partition's log and on
nothing else: not on how it was cut into batches.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Silence(NamedTuple):
    """Keys that fell silent: which, at which sample index, and when; each of shape `(n,)`."""

    which: NDArray[np.int64]
    sample: NDArray[np.int64]
    deadline_us: NDArray[np.int64]


def deadlines(
    seen_us: NDArray[np.int64], interval_seconds: NDArray[np.float64], intervals: float
) -> NDArray[np.int64]:
    """Clock beyond which a key counts as silent, shape as `seen_us`."""
    patience = np.maximum(interval_seconds * (intervals * 1e6), 1.0)
    return seen_us + patience.astype(np.int64)


def find_idle(
    clock_us: NDArray[np.int64], deadline_us: NDArray[np.int64], until: NDArray[np.int64]
) -> Silence:
    """Which deadlines the clock passes before a sample index.

    Args:
        clock_us: The partition's clock after each sample, `(n,)`, never falling.
        deadline_us: One per key, `(k,)`.
        until: Index of the key's next own sample, or `n`, `(k,)`.
    """
    at = np.searchsorted(clock_us, deadline_us, side="right")
    which = np.flatnonzero(at < until)
    return Silence(which, at[which], deadline_us[which])
