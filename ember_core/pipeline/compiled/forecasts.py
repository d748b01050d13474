"""Slow averages, forecasts that wait for their row, and residuals, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.liquid import GAPS

from .elementary import exp_all, larger, log_all, smaller
from .variants import inlined

_F = np.float32
_ZERO, _ONE = _F(0.0), _F(1.0)
_LN2 = _F(np.log(2.0))
_LAST_OCTAVE = _F(GAPS - 1.0)


@inlined
def look_ahead(start: Any, elapsed: Any, fading: Any, kept: Any, waited: Any) -> Any:
    """Write what rows need of their time, for as many as there is room for.

    Args:
        start: First of the rows.
        elapsed: Time since the row before, `(R,)`.
        fading: Logarithm of the share that the slow average keeps in one interval.
        kept: Output, share that the averages keep of themselves, `(N,)`.
        waited: Output, logarithm of the time, at least 0, `(N,)`.

    Returns:
        How many rows these are.
    """
    n = min(kept.size, elapsed.size - start)
    for i in range(n):
        kept[i] = elapsed[start + i] * fading
        waited[i] = larger(elapsed[start + i], _ONE)
    exp_all(kept, n)
    log_all(waited, n)
    return n


@inlined
def follow_average(
    r: Any,
    k: Any,
    z: Any,
    is_new: Any,
    kept: Any,
    low: Any,
    high: Any,
    anchor: Any,
    before: Any,
    slow: Any,
    departure: Any,
) -> None:
    """Update the slow averages of a key by a row.

    Args:
        r: The row.
        k: Its key.
        z: Normalised rows, `(R, C)`.
        is_new: Whether the row is the key's first.
        kept: Share that the averages keep of themselves.
        low: Least departure that counts, `(R, C)`, or `(R, 0)` where all do.
        high: Largest departure that counts, likewise.
        anchor: Slow averages, `(K, C)`.
        before: Output, the averages before the row, `(C,)`.
        slow: Output, those after it, `(R, C)`.
        departure: Output, departures that count, `(C,)`.
    """
    gain = _ONE - kept
    channels = before.size
    if is_new:
        for c in range(channels):
            before[c] = z[r, c]
    else:
        for c in range(channels):
            before[c] = anchor[k, c]
    for c in range(channels):
        departure[c] = before[c] + gain * (z[r, c] - before[c])
    for c in range(channels):
        anchor[k, c] = departure[c]
    for c in range(channels):  # loops of few arrays become loops on vectors
        slow[r, c] = departure[c]
        departure[c] = z[r, c] - departure[c]
    if low.shape[1]:
        for c in range(before.size):
            departure[c] = smaller(larger(departure[c], low[r, c]), high[r, c])


@inlined
def take_due(r: Any, k: Any, rows: Any, horizons: Any, pending: Any, before: Any, due: Any) -> None:
    """Write the forecasts that are due at a row, or the averages before it where none is."""
    place = 0
    for p in range(horizons.size):
        if rows[r] >= horizons[p]:
            slot = place + rows[r] % horizons[p]
            for c in range(before.size):
                due[r, p, c] = pending[k, slot, c]
        else:
            for c in range(before.size):
                due[r, p, c] = before[c]
        place += horizons[p]


@inlined
def write_residuals(
    r: Any,
    z: Any,
    waited: Any,
    due: Any,
    growth: Any,
    residual_horizons: Any,
    features: Any,
    offset: Any,
) -> None:
    """Write the residuals of a row from a column on: `LiquidNetwork.residual`.

    Args:
        r: The row.
        z: `(R, C)`.
        waited: Logarithm of the time since the row before, at least 0.
        due: `(R, P, C)`.
        growth: `(P, 8, C)`.
        residual_horizons: Places of the horizons.
        features: Output, `(R, D + K * C)`.
        offset: The column.
    """
    octave = smaller(larger(waited / _LN2, _ZERO), _LAST_OCTAVE)
    lower = smaller(np.floor(octave), _LAST_OCTAVE - _ONE)
    share = octave - lower
    index = np.int64(lower)
    channels = z.shape[1]
    for i in range(residual_horizons.size):
        p = residual_horizons[i]
        for c in range(channels):
            size = growth[p, index, c]
            size = size + share * (growth[p, index + 1, c] - size)
            features[r, offset + i * channels + c] = (z[r, c] - due[r, p, c]) / size


@inlined
def renew_forecasts(
    r: Any, k: Any, rows: Any, horizons: Any, slow: Any, sums: Any, q: Any, pending: Any
) -> None:
    """Put the forecasts of a row, its averages and row `q` of the sums, where they wait."""
    place, channels = 0, slow.shape[1]
    for p in range(horizons.size):
        slot = place + rows[r] % horizons[p]
        for c in range(channels):
            pending[k, slot, c] = slow[r, c] + _F(sums[q, p * channels + c])
        place += horizons[p]
