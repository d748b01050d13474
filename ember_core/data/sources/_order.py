"""Order of a key's rows in its source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._remarks import Remark

_HOUR_US = 3_600_000_000
_MOST_CHANGES = 10
_LEAST_ROWS = 3


def falls(time_us: NDArray[np.int64]) -> bool:
    """Test whether the newest rows come first, `(T,)`: nearly all steps go back."""
    if len(time_us) < _LEAST_ROWS:
        return False
    steps = np.diff(time_us)
    falling, rising = np.count_nonzero(steps < 0), np.count_nonzero(steps > 0)
    return bool(time_us[-1] < time_us[0] and falling > 20 * rising)


def clock_change(
    source: str, time_us: NDArray[np.int64], time_text: NDArray[np.object_]
) -> Remark | None:
    """Return a remark where rising times fall back by up to an hour, as local clocks do.

    Args:
        source: Name of the source.
        time_us: Times of a key, taken for UTC, `(T,)`.
        time_text: The same as written, `(T,)`.
    """
    steps = np.diff(time_us)
    falls_at = np.flatnonzero(steps < 0) + 1
    # Once in autumn, by an hour less one interval; rows that are merely late fall back more often.
    if not 0 < len(falls_at) <= _MOST_CHANGES:
        return None
    fall_us = -steps[falls_at - 1]
    if not bool(((fall_us >= _HOUR_US // 2) & (fall_us < _HOUR_US)).all()):
        return None
    newest = np.maximum.accumulate(time_us)
    count = int(np.count_nonzero(time_us[1:] <= newest[:-1]))
    text = (
        "an hour comes twice, as where clocks go back: name the zone of the times with --time-zone"
    )
    return Remark(
        "repeated_hour", text, source, "", count, int(falls_at[0]) + 1, str(time_text[falls_at[0]])
    )
