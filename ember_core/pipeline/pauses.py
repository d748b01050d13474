"""Usual pauses of a key: a host that is off each night, or sends in bursts.

Of each key the three longest pauses are kept, and fade with a half-life of 14 days. One or two may
have been outages; the shortest of three has recurred, so it is usual.

Only sums, products and powers of two: every processor gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

KEPT_PAUSES = 3
"""Longest pauses that are kept of a key."""
HALF_LIFE_US = 14 * 86_400 * 1_000_000
_LEAST_INTERVALS = 10.0
"""Usual intervals beyond which a gap in the history is a pause."""


class Pauses(NamedTuple):
    """Longest pauses of `K` keys.

    Attributes:
        longest: The longest by falling length, seconds, float32 `(K, 3)`; 0 where there was none.
        time_us: Time at which they were noted, microseconds, int64 `(K,)`.
    """

    longest: NDArray[np.float32]
    time_us: NDArray[np.int64]


def usual_pause(pauses: Pauses, time_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the usual longest pause of each key, seconds, `(K,)`.

    Args:
        pauses: Their pauses.
        time_us: The time now, `(K,)`.
    """
    return pauses.longest[:, -1].astype(np.float64) * _share(pauses, time_us)


def note_pauses(pauses: Pauses, time_us: NDArray[np.int64], pause_us: NDArray[np.int64]) -> Pauses:
    """Return the pauses after those that have just ended.

    Args:
        pauses: Pauses before, of `K` keys.
        time_us: Time at which each ends, `(K,)`.
        pause_us: Length of each, `(K,)`; 0 where a key made none.
    """
    faded = pauses.longest * _share(pauses, time_us)[:, None]
    noted = np.sort(np.column_stack([pause_us * 1e-6, faded]), axis=1)[:, :0:-1]
    paused = pause_us > 0
    return Pauses(
        np.where(paused[:, None], noted.astype(np.float32), pauses.longest),
        np.where(paused, time_us, pauses.time_us),
    )


def pauses_in(times_us: Sequence[NDArray[np.int64]]) -> Pauses | None:
    """Return the pauses of the keys of a history; None where none of them recurs.

    Args:
        times_us: Times of the rows of each key, rising.
    """
    keys = len(times_us)
    longest, noted_us = (
        np.zeros((keys, KEPT_PAUSES), dtype=np.float32),
        np.zeros(keys, dtype=np.int64),
    )
    for k, time_us in enumerate(times_us):
        gap_us = np.diff(time_us)
        if not gap_us.size:
            continue
        pauses = Pauses(longest[k : k + 1], noted_us[k : k + 1])
        for i in np.flatnonzero(gap_us > _LEAST_INTERVALS * np.median(gap_us)).tolist():
            pauses = note_pauses(pauses, time_us[i + 1 : i + 2], gap_us[i : i + 1])
        longest[k], noted_us[k] = pauses.longest[0], pauses.time_us[0]
    return Pauses(longest, noted_us) if longest[:, -1].any() else None


def _share(pauses: Pauses, time_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the part of the pauses that is left at a time, `(K,)`."""
    age_us = np.maximum(time_us - pauses.time_us, 0)
    halves, rest_us = np.divmod(age_us, HALF_LIFE_US)
    # Straight between two half-lives: no power that processors round in different ways.
    share: NDArray[np.float64] = np.ldexp(1.0 - rest_us / (2.0 * HALF_LIFE_US), -halves)
    return share
