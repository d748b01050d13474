"""Exponential windows over a whole series at once, instead of row by row."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ember_core import ops
from ember_core.features.windows import ExponentialWindows
from ember_core.ops import Array
from ember_core.state import State

_BLOCK = 16  # rows whose recursion is one small matrix product


def exponential_series(
    windows: ExponentialWindows, state: State | None, z: Array
) -> tuple[State, Array]:
    """What `windows.forward` gives for the rows of one key, one after the other, in one go.

    The rows are one usual interval apart (`elapsed = 1`); for irregular times step row by row.
    Equal to the steps up to rounding.

    Args:
        windows: Half-lives and features.
        state: What the last call gave back; None before the key's first row.
        z: Rows `(T, C)`, float32, without NaN.

    Returns:
        The state after the last row, fields of shape `(1, S, C)`, and the features `(T, D)`,
        float32, in the order of `windows.forward`.

    Raises:
        ValueError: For another width, or a value that is not finite.
    """
    if len(ops.shape(z)) != 2 or z.shape[1] != windows.n_channels:
        raise ValueError(
            f"The rows do not fit the windows. Expected shape (T, {windows.n_channels}). "
            f"Received: shape={ops.shape(z)}."
        )
    if not bool(ops.all(ops.isfinite(z))):
        raise ValueError(
            "Exponential windows cannot pass over gaps. Expected finite values. "
            "Received: NaN or infinity. Fill them first (Imputer, ColumnFeatures)."
        )
    if not z.shape[0]:
        if state is None:
            raise ValueError(
                "A series without rows has no state. Expected at least one row. "
                f"Received: shape={ops.shape(z)}."
            )
        return state, ops.broadcast_to(z[:, :1], (0, windows.n_features))
    factors = tuple(0.5 ** (1.0 / half_life) for half_life in windows.half_lives)
    keep = _as(z, np.asarray(factors)[:, None, None])
    gain = 1.0 - keep
    # Axes: half-life, row, channel. The averages run on differences from the first row, so that
    # large levels cost no digits.
    origin = z[:1]
    moved = (z - origin)[None]
    start = (origin if state is None else ops.transpose(state["ewma"], (1, 0, 2))) - origin
    start = start + ops.zeros_like(gain)
    spread = 0.0 * start if state is None else ops.transpose(state["ewvar"], (1, 0, 2))
    average = _scan(gain * moved, factors, start)
    departure = moved - average
    # departure = keep * (z - ewma before), and the variance takes in keep * gain * (...)^2.
    variance = _scan((gain / keep) * departure * departure, factors, spread)
    ewma = origin + average[:, -1:]
    blocks = [z, *departure, *ops.sqrt(variance)]
    if windows.levels:
        blocks.append(average[-1] + origin)
    after = {
        "ewma": ops.transpose(ewma, (1, 0, 2)),
        "ewvar": ops.transpose(variance[:, -1:], (1, 0, 2)),
    }
    return after, ops.concatenate(blocks, axis=1)


def _scan(u: Array, keep: tuple[float, ...], start: Array) -> Array:
    """`y[s, t] = keep[s] * y[s, t - 1] + u[s, t]` along the rows of `u` `(S, n, C)`.

    Rows are taken in blocks, each one product with a triangle of powers; the blocks' last values
    follow the same recursion with `keep ** _BLOCK`.

    Args:
        u: What comes in.
        keep: Factor per `s`.
        start: `y` before the first row, `(S, 1, C)`.
    """
    n = u.shape[1]
    size = min(n, _BLOCK)
    count = n // size
    triangle = _triangle(keep, size, ops.backend_name(u), ops.dtype(u))
    blocks = ops.reshape(u[:, : count * size], (len(keep), count, size, -1))
    before = start[:, None]
    if count > 1:
        ends = ops.matmul(triangle[:, :, -1:, 1:], blocks)[:, :, 0]
        ends = _scan(ends[:, :-1], tuple(k**size for k in keep), start)
        before = ops.concatenate([start, ends], axis=1)[:, :, None]
    y = ops.matmul(triangle, ops.concatenate([before, blocks], axis=2))
    y = ops.reshape(y, (len(keep), count * size, -1))
    if count * size == n:
        return y
    return ops.concatenate([y, _scan(u[:, count * size :], keep, y[:, -1:])], axis=1)


@lru_cache(maxsize=64)
def _triangle(keep: tuple[float, ...], size: int, backend: str, dtype: str) -> Array:
    """`keep ** (i - j + 1)` for `j` in 0 .. `size`, 0 above, `(S, 1, size, size + 1)`.

    The first column carries on what was before the block.
    """
    apart = np.arange(size)[:, None] - np.arange(size + 1)[None, :] + 1.0
    powers = np.asarray(keep)[:, None, None, None] ** np.maximum(apart, 0.0)
    with ops.default_backend(backend):
        return ops.from_numpy(np.where(apart >= 0, powers, 0.0).astype(dtype))


def _as(like: Array, x: NDArray[np.float64]) -> Array:
    """A NumPy array on the backend and in the dtype of `like`."""
    with ops.default_backend(ops.backend_name(like)):
        return ops.from_numpy(x.astype(ops.dtype(like)))
