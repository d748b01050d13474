"""Bands: the departures of a channel between which a stated share of its usual rows lies.

A band begins with the quantiles of the key's own history and is then followed: a row beyond a bound
moves it outwards, every other row moves it inwards by so much less that the two cancel out when the
share is as stated (Gibbs and Candes 2021, adaptive conformal inference). So the share holds in the
long run whatever the distribution is, and whatever becomes of it. A row moves a bound by a small
part of the band, however far away it is, and not at all while the key fires.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .packing import PackedRows

COVERAGE: Final = 0.95
"""Share of usual rows that lie between the bounds of their band, by channel."""
STEP: Final = 0.02
"""Part of a quarter of the band by which a row beyond a bound moves it."""
LEAST: Final = 0.1
"""Smallest bound, in usual sizes: the usual value itself is always inside."""
_TAIL: Final = (1.0 - COVERAGE) / 2.0
_NOISE: Final = 1.96
_FEWEST_ROWS: Final = 200
"""Rows from which quantiles of a key are its own."""


class Bands(NamedTuple):
    """Bands of a fleet, in usual sizes: the lower bounds, then the upper ones.

    Attributes:
        known: Band of each key, float32 `(K, 2, C)`.
        new: Band that a key never seen begins with, float32 `(2, C)`.
    """

    known: NDArray[np.float32]
    new: NDArray[np.float32]


def bands_of_noise(keys: int, channels: int) -> Bands:
    """Return the bands of normal noise, with which keys of a bundle without bands begin."""
    new = np.repeat(np.array([[-_NOISE], [_NOISE]], np.float32), channels, axis=1)
    return Bands(np.repeat(new[None], keys, axis=0), new)


def band_of(departures: NDArray[Any]) -> NDArray[np.float32]:
    """Return the band of rows of a key, `(2, C)`, float32; NaN where there are too few.

    Args:
        departures: Departures of its usual rows, `(T, C)`, in usual sizes; NaN where missing.
    """
    band = np.full((2, departures.shape[1]), np.nan, np.float32)
    for c in range(departures.shape[1]):
        column = departures[np.isfinite(departures[:, c]), c]
        if len(column) >= _FEWEST_ROWS:
            band[:, c] = np.quantile(column, [_TAIL, 1.0 - _TAIL])
    band[0] = np.minimum(band[0], -LEAST)
    band[1] = np.maximum(band[1], LEAST)
    return band


def bands_of(bands: list[NDArray[np.float32]], channels: int) -> Bands:
    """Return the bands of a fleet; keys and channels with too few rows have the fleet's.

    Args:
        bands: Bands of its keys, as `band_of` gives them.
        channels: Number of channels.
    """
    key_bands, new = np.stack(bands), bands_of_noise(0, channels).new
    for side, c in np.ndindex(2, channels):
        column = key_bands[:, side, c]
        bounds = column[np.isfinite(column)]
        if len(bounds):
            new[side, c] = np.median(bounds)
    return Bands(np.where(np.isfinite(key_bands), key_bands, new), new)


def follow_bands(
    packed: PackedRows,
    bands: NDArray[np.float32],
    departures: NDArray[np.float32],
    learns: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the band of each row, which is that before it, and the bands after the rows.

    Args:
        packed: Key of each row.
        bands: Bands of the keys before their rows, `(K, 2, C)`.
        departures: Departures of the rows, `(R, C)`, in usual sizes; NaN where missing.
        learns: False for rows that move no bound, `(R,)`.

    Returns:
        Bands of shapes `(R, 2, C)` and `(K, 2, C)`.
    """
    row_bands = packed.scan(_moved, {"band": bands}, departures, learns)["band"]
    return packed.previous(bands, row_bands), packed.last(row_bands)


def _moved(
    before: dict[str, Any], departures: NDArray[np.float32], learns: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the bands after one row each."""
    lower, upper = before["band"][:, 0], before["band"][:, 1]
    step = np.float32(STEP / 4.0) * (upper - lower)
    is_learnt = learns[:, None] & np.isfinite(departures)
    inwards = np.float32(_TAIL)
    upper_moved = upper + step * ((departures > upper) - inwards)
    lower_moved = lower - step * ((departures < lower) - inwards)
    upper = np.where(is_learnt, np.maximum(upper_moved, np.float32(LEAST)), upper)
    lower = np.where(is_learnt, np.minimum(lower_moved, np.float32(-LEAST)), lower)
    return {"band": np.stack([lower, upper], axis=1).astype(np.float32)}
