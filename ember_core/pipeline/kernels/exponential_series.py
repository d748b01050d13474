"""Exponential windows over a whole series at once, instead of row by row."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ember_core import ops
from ember_core.ops import Array
from ember_core.pipeline.stage import State
from ember_core.pipeline.windows import ExponentialWindows

from .exponential_numpy import series

_BLOCK = 16  # rows whose recursion is one small matrix product


def exponential_series(
    windows: ExponentialWindows, state: State | None, z: Array
) -> tuple[State, Array]:
    """Compute `windows.forward` for the rows of one key, one after the other, in one go.

    The rows are one usual interval apart (`elapsed = 1`); for irregular times step row by row.
    Equal to the steps up to rounding.

    Args:
        windows: Half-lives and features.
        state: State of the last call; None before the key's first row.
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
    keep = tuple(0.5 ** (1.0 / half_life) for half_life in windows.half_lives)
    if isinstance(z, np.ndarray):
        ewma, ewvar = (None, None) if state is None else (state["ewma"][0], state["ewvar"][0])
        levels = windows.levels
        ewma, ewvar, features = series(
            z, keep, ewma, ewvar, levels=levels, block=_BLOCK, scan=_scan
        )
        return {"ewma": ewma[None], "ewvar": ewvar[None]}, features
    # Axes: half-life, channel, row. The averages run on differences from the first row, so that
    # large levels cost no digits.
    rows = ops.ascontiguous(ops.transpose(z))
    origin = rows[:, :1]
    shifted = (rows - origin)[None]
    if state is None:
        start = ops.zeros_like(origin)[None] + _column(z, keep) * 0.0
        spread = start
    else:
        start, spread = state["ewma"][0, :, :, None] - origin, state["ewvar"][0, :, :, None]
    average = _scan(shifted, keep, tuple(1.0 - k for k in keep), start)
    departure = shifted - average
    # departure = keep * (z - ewma before), and the variance takes in keep (1 - keep) (...)^2.
    squares, gain = ops.square(departure), tuple((1.0 - k) / k for k in keep)
    variance = _scan(squares, keep, gain, spread, fresh=True)
    blocks = [rows, *departure, *ops.sqrt(variance)]
    if windows.levels:
        blocks.append(average[-1] + origin)
    new_state = {
        "ewma": (origin + average[:, :, -1:])[None, :, :, 0],
        "ewvar": variance[None, :, :, -1],
    }
    return new_state, ops.transpose(ops.concatenate(blocks, axis=0))


def _scan(
    u: Array,
    keep: tuple[float, ...],
    gain: tuple[float, ...],
    start: Array,
    *,
    fresh: bool = False,
) -> Array:
    """Return `y[s, c, t] = keep[s] * y[s, c, t - 1] + gain[s] * u[s, c, t]`.

    Rows are taken in blocks, each one product with a triangle of powers; the blocks' last values
    follow the same recursion with `keep ** _BLOCK`.

    Args:
        u: Input, `(S, C, n)`, or `(1, C, n)` for all alike.
        keep: Factor per `s`.
        gain: Factor per `s`.
        start: `y` before the first row, `(S, C, 1)`.
        fresh: Whether `u`, `(S, C, n)`, may be changed: it saves a copy.

    Returns:
        `(S, C, n)`.
    """
    n = u.shape[2]
    size = min(n, _BLOCK)
    count = n // size
    triangle, carry = _matrices(keep, gain, size, ops.backend_name(u), ops.device(u), ops.dtype(u))
    blocks = ops.reshape(u[:, :, : count * size], (u.shape[0], -1, count, size))
    block_starts = start
    if count > 1:
        ends = ops.matmul(blocks[:, :, :-1], triangle[:, :, :, -1:])[:, :, :, 0]
        powers = tuple(k**size for k in keep)
        ends = _scan(ends, powers, (1.0,) * len(keep), start, fresh=True)
        block_starts = ops.concatenate([start, ends], axis=2)
    # The value before a block enters it as a part of its first row.
    padded = blocks
    if not fresh:
        padded = ops.broadcast_to(blocks, (len(keep), *blocks.shape[1:])) + 0.0
    padded[:, :, :, 0] += block_starts * carry
    y = ops.reshape(ops.matmul(padded, triangle), (len(keep), -1, count * size))
    if count * size == n:
        return y
    remainder = _scan(u[:, :, count * size :], keep, gain, y[:, :, -1:])
    return ops.concatenate([y, remainder], axis=2)


@lru_cache(maxsize=64)
def _matrices(
    keep: tuple[float, ...],
    gain: tuple[float, ...],
    size: int,
    backend: str,
    device: str,
    dtype: str,
) -> tuple[Array, Array]:
    """Return `gain * keep ** (j - i)`, 0 below, `(S, 1, size, size)`, and `keep / gain`."""
    position = np.arange(float(size))
    factor = np.asarray(keep)[:, None, None, None]
    distance = position[None, :] - position[:, None]
    triangle = np.where(distance >= 0, factor ** np.maximum(distance, 0.0), 0.0)
    triangle = np.asarray(gain)[:, None, None, None] * triangle
    carry = (np.asarray(keep) / np.asarray(gain))[:, None, None]
    with ops.default_backend(backend, device):
        return ops.from_numpy(triangle.astype(dtype)), ops.from_numpy(carry.astype(dtype))


def _column(like: Array, values: tuple[float, ...]) -> Array:
    """Return numbers `(S, 1, 1)` on the backend and device and in the dtype of `like`."""
    return ops.from_numpy(np.asarray(values, ops.dtype(like))[:, None, None], like=like)
