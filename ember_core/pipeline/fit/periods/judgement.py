"""Judgement of a candidate: a period with its significance, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .candidates import CALENDAR_US
from .folding import Fold

SLOW_SHARE = 0.05  # of a channel's variance about its slow level that a period explains
SURE = ((8.0, 0.05), (5.5, 0.3))
"""Significances that are no chance, each with the share it needs of the faster variance."""
CALENDAR_SURE = ((5.0, 0.05), (4.0, 0.15), (2.4, 0.3))
"""The same for a period of the calendar, which is not the best of many."""
PER_CHANNELS = 0.7  # more of them where the clearest of many channels is looked at
FEW_CYCLES = (1.2, 0.5)  # the same where blocks can be turned in few ways only
FEW_BLOCKS = 5
CHANNELS_SHARE = 0.1  # of the channels that move, at least one
KEYS_SHARE = 0.5

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Period:
    """A period of a fleet.

    Attributes:
        seconds: Its length.
        share: Share of the variance that it explains in parts of the history left out: median
            over keys, mean over the channels that have it.
        significance: Deviations by which that stands above cycles turned at random: median over
            keys, of the clearest channel.
        keys: Share of the keys that have it, among those with a history that is long enough.
        channels: Share of each channel that was looked at, by its column; the median over keys.
    """

    seconds: float
    share: float
    significance: float
    keys: float
    channels: dict[int, float]

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return plain values for a report.

        Args:
            names: Names of the channels.
        """
        return {
            "seconds": self.seconds,
            "share": round(self.share, 4),
            "significance": round(self.significance, 1),
            "keys": round(self.keys, 3),
            "channels": {names[c]: round(share, 4) for c, share in self.channels.items()},
        }


def judged(
    period_us: float, folds: Sequence[Fold], keys: int, channels: NDArray[np.int64]
) -> Period | None:
    """Return a candidate as a period, or None where most keys do not show it.

    Args:
        period_us: The candidate.
        folds: Folds of the keys whose history is long enough.
        keys: Number of all keys.
        channels: Columns of the channels.
    """
    if not is_large(folds, keys):
        return None
    shares, sures = [], []
    for folded in folds:
        if _has_enough(folded, _is_large(folded)):
            significance = folded.significance()
            channel_mask = _is_large(folded) & _is_sure(
                folded, significance, period_us in CALENDAR_US
            )
            if _has_enough(folded, channel_mask):
                shares.append(float(folded.of_slow[channel_mask].mean()))
                sures.append(float(significance[channel_mask].max()))
    if not shares or len(shares) < KEYS_SHARE * len(folds):
        return None
    by_channel = np.median([np.maximum(f.of_slow, 0.0) for f in folds], axis=0)
    return Period(
        period_us * 1e-6,
        float(np.median(shares)),
        float(np.median(sures)),
        len(shares) / len(folds),
        dict(zip(channels.tolist(), by_channel.tolist(), strict=True)),
    )


def is_large(folds: Sequence[Fold], keys: int) -> bool:
    """Return True where most keys have channels of which a candidate explains enough.

    Args:
        folds: Folds of the keys whose history is long enough.
        keys: Number of all keys.
    """
    large = sum(_has_enough(f, _is_large(f)) for f in folds)
    return len(folds) >= KEYS_SHARE * keys and large >= max(1.0, KEYS_SHARE * len(folds))


def _has_enough(folded: Fold, channels: NDArray[np.bool_]) -> bool:
    return bool(channels.sum() >= max(1.0, CHANNELS_SHARE * int(folded.moving.sum())))


def _is_large(folded: Fold) -> NDArray[np.bool_]:
    """Return the channels of which the period explains enough, `(C,)`."""
    return (folded.of_slow >= SLOW_SHARE) & folded.moving


def _is_sure(folded: Fold, significance: FloatArray, in_calendar: bool) -> NDArray[np.bool_]:
    """Return the channels in which that is no chance, `(C,)`; the calendar needs less."""
    levels = CALENDAR_SURE if in_calendar else SURE
    if in_calendar and folded.sums.shape[1] <= FEW_BLOCKS:
        levels = (*levels, FEW_CYCLES)
    margin = PER_CHANNELS * np.sqrt(np.log(max(1, int(folded.moving.sum()))))
    sure = np.zeros(len(significance), dtype=bool)
    for level, share in levels:
        least = level if (level, share) == FEW_CYCLES else level + margin
        sure |= (significance >= least) & (folded.of_fast >= share)
    return sure
