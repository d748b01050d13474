"""Exponential windows over a whole series on NumPy: every feature written once, in its place.

The same recursions as those of any backend, with products that give the departures themselves:
from a block of rows and what each average was before it, one product for each half-life.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
Scan = Callable[[Floats, tuple[float, ...], tuple[float, ...], Floats], Floats]


def series(
    z: Floats,
    keep: tuple[float, ...],
    start: Floats | None,
    spread: Floats | None,
    *,
    levels: bool,
    block: int,
    scan: Scan,
) -> tuple[Floats, Floats, Floats]:
    """Return averages, variances and features of the rows of one key.

    Args:
        z: Rows `(n, C)`, at least one, finite.
        keep: Share that each average keeps of itself, `S` numbers.
        start: Averages before the first row, `(S, C)`; None: the first row.
        spread: Variances before it, `(S, C)`; None: zero.
        levels: Whether the last average is a feature.
        block: Rows of a product.
        scan: `y[t] = keep y[t - 1] + gain u[t]` of `(S, C, m)`, from `(S, C, 1)`.

    Returns:
        Averages and variances after the last row, `(S, C)`, and the features `(n, D)`.
    """
    n, channels = z.shape
    strides = len(keep)
    count = -(-n // block)
    to_departures, to_ends, to_variances, carry = _products(keep, block, z.dtype.name)
    out = np.empty((1 + 2 * strides + levels, channels, count * block), z.dtype)
    rows, departure = out[0], out[1 : 1 + strides]
    variance = out[1 + strides : 1 + 2 * strides]
    rows[:, :n] = z.T
    rows[:, n:] = rows[:, n - 1 : n]
    # On differences from the first row, so that large levels cost no digits.
    origin = rows[:, :1].copy()
    if start is None or spread is None:
        start = spread = np.zeros((strides, channels), z.dtype)
    else:
        start = start - origin[:, 0]
    powers = tuple(k**block for k in keep)

    def block_starts(ends: Floats, first: Floats) -> Floats:
        """Return the value before each block, `(S, C, m)`, from its rows' part of the end."""
        first = first[:, :, None]
        if count == 1:
            return first
        later_starts = scan(np.ascontiguousarray(ends[:, :, :-1]), powers, (1.0,) * strides, first)
        return np.concatenate([first, later_starts], axis=2)

    padded = np.empty((channels, count, block + strides), z.dtype)
    shifted, begins = padded[:, :, :block], padded[:, :, block:]
    np.subtract(rows.reshape(channels, count, block), origin[:, :, None], out=shifted)
    begins[...] = np.moveaxis(block_starts(np.moveaxis(shifted @ to_ends, 2, 0), start), 0, 2)
    # A product for each channel: small enough for a BLAS to stay in this thread.
    blocks = (strides, channels, count, block)
    np.matmul(padded, to_departures[:, None], out=departure.reshape(blocks))

    squares = np.square(departure).reshape(blocks)
    ends = np.matmul(squares, to_variances[:, None, :, -1:])[..., 0]
    # The value before a block enters it as a part of its first row.
    squares[..., 0] += block_starts(ends, spread) * carry
    np.matmul(squares, to_variances[:, None], out=variance.reshape(blocks))
    average = rows[:, n - 1] - departure[:, :, n - 1]
    last = variance[:, :, n - 1].copy()
    np.sqrt(variance, out=variance)
    if levels:
        np.subtract(rows, departure[-1], out=out[-1])
    return average, last, out.reshape(-1, count * block)[:, :n].T


@lru_cache(maxsize=64)
def _products(
    keep: tuple[float, ...], block: int, dtype: str
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return a block's matrices: to departures, to averages' ends, to variances, and `keep / gain`.

    `(S, block + S, block)`, `(block, S)`, `(S, block, block)` and `(S, 1, 1)`. With the averages
    `a[j] = keep a[j - 1] + (1 - keep) u[j]` a departure is `u[j] - a[j]`; the variance takes in
    `(1 - keep) / keep` of its square.
    """
    k = np.asarray(keep)[:, None, None]
    position = np.arange(float(block))
    distance = position[None, :] - position[:, None]
    triangle = np.where(distance >= 0, k ** np.maximum(distance, 0.0), 0.0)
    to_departures = np.zeros((len(keep), block + len(keep), block))
    to_departures[:, :block] = np.eye(block) - (1.0 - k) * triangle
    for s, factor in enumerate(keep):
        to_departures[s, block + s] = -(factor ** (position + 1.0))
    to_ends = ((1.0 - k) * triangle)[:, :, -1].T
    gain = (1.0 - k) / k
    products = (to_departures, to_ends, gain * triangle, k / gain)
    return tuple(np.ascontiguousarray(x.astype(dtype)) for x in products)  # type: ignore[return-value]
