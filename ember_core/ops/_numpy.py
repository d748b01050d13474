"""The operations on NumPy arrays. What they mean is said once, in the public functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._exact import (
    BLOCK_TERMS,
    INPUT_BITS,
    INPUT_LIMIT,
    WEIGHT_BITS,
    WEIGHT_LIMIT,
    ExactWeight,
)
from ._reduction import Axis
from ._select import Array, Shape

# Adding and subtracting 1.5 * 2^(23 - bits) rounds a float32 to 2^-bits, halves to even.
_GRID = np.float32(1.5 * 2.0 ** (23 - INPUT_BITS))
_LIMIT = np.float32(INPUT_LIMIT)
_TILE_ROWS = 256  # keeps a tile's temporaries in the second-level cache

# --- creation


def asarray(x: Any, dtype: str | None = None) -> Array:
    return np.asarray(x, dtype=dtype)


def from_numpy(x: Any) -> Array:
    return np.asarray(x)


def to_numpy(x: Array) -> Any:
    return np.asarray(x)


def zeros(shape: Shape, dtype: str = "float32") -> Array:
    return np.zeros(shape, dtype)


def ones(shape: Shape, dtype: str = "float32") -> Array:
    return np.ones(shape, dtype)


def full(shape: Shape, value: float, dtype: str = "float32") -> Array:
    return np.full(shape, value, dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: str = "int64") -> Array:
    first, last = (0, start) if stop is None else (start, stop)
    return np.arange(first, last, step, dtype=dtype)


def eye(n: int, dtype: str = "float32") -> Array:
    return np.eye(n, dtype=dtype)


def zeros_like(x: Array) -> Array:
    return np.zeros_like(x)


def ones_like(x: Array) -> Array:
    return np.ones_like(x)


# --- each element


def exp(x: Array) -> Array:
    return np.exp(x)


def expm1(x: Array) -> Array:
    return np.expm1(x)


def log(x: Array) -> Array:
    return np.log(x)


def log1p(x: Array) -> Array:
    return np.log1p(x)


def sin(x: Array) -> Array:
    return np.sin(x)


def cos(x: Array) -> Array:
    return np.cos(x)


def tanh(x: Array) -> Array:
    return np.tanh(x)


def sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) = inf gives the right 0, faster than a clip
        z = np.exp(np.negative(x))
    z += 1
    return np.divide(1, z)


def softplus(x: Array) -> Array:
    z = np.log1p(np.exp(np.negative(np.abs(x))))
    z += np.maximum(x, 0)
    return z


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sqrt(x: Array) -> Array:
    return np.sqrt(x)


def square(x: Array) -> Array:
    return np.square(x)


def abs(x: Array) -> Array:  # noqa: A001
    return np.abs(x)


def sign(x: Array) -> Array:
    return np.sign(x)


def floor(x: Array) -> Array:
    return np.floor(x)


def round(x: Array) -> Array:  # noqa: A001
    return np.rint(x)


def clip(x: Array, low: float | Array, high: float | Array) -> Array:
    return np.minimum(np.maximum(x, low), high)  # np.clip costs microseconds more per call


def where(condition: Array, x: Array | float, y: Array | float) -> Array:
    return np.where(condition, x, y)


def minimum(x: Array | float, y: Array | float) -> Array:
    return np.minimum(x, y)


def maximum(x: Array | float, y: Array | float) -> Array:
    return np.maximum(x, y)


def isfinite(x: Array) -> Array:
    return np.isfinite(x)


def isnan(x: Array) -> Array:
    return np.isnan(x)


def astype(x: Array, dtype: str) -> Array:
    return np.asarray(x, dtype)


# --- reductions


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return np.add.reduce(x, axis=axis, keepdims=bool(keepdims))  # type: ignore[call-overload]


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.mean(x, axis=axis, keepdims=keepdims)


def var(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.var(x, axis=axis, keepdims=keepdims)


def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.std(x, axis=axis, keepdims=keepdims)


def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return np.max(x, axis=axis, keepdims=keepdims)


def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return np.min(x, axis=axis, keepdims=keepdims)


def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return np.any(x, axis=axis, keepdims=keepdims)


def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return np.all(x, axis=axis, keepdims=keepdims)


def cumsum(x: Array, axis: int) -> Array:
    return np.cumsum(x, axis=axis, dtype=np.asarray(x).dtype)


def argmax(x: Array, axis: int | None = None) -> Array:
    return np.argmax(x, axis=axis)


def argsort(x: Array, axis: int = -1) -> Array:
    return np.argsort(x, axis=axis, kind="stable")


def quantile(x: Array, q: float | Array, axis: int | None = None) -> Array:
    return np.quantile(x, q, axis=axis)


# --- shape


def dtype(x: Array) -> str:
    return np.asarray(x).dtype.name


def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    return np.transpose(x, axes)


def reshape(x: Array, shape: Shape) -> Array:
    return np.reshape(x, shape)


def expand_dims(x: Array, axis: int) -> Array:
    return np.expand_dims(x, axis)


def broadcast_to(x: Array, shape: Shape) -> Array:
    return np.broadcast_to(x, shape)


def concatenate(arrays: Sequence[Array], axis: int = 0) -> Array:
    return np.concatenate(arrays, axis=axis)


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    return np.stack(arrays, axis=axis)


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    return np.take(x, indices, axis=axis)


def ascontiguous(x: Array) -> Array:
    return np.ascontiguousarray(x)


def copy(x: Array) -> Array:
    return np.array(x, order="C")


# --- matrices


def matmul(x: Array, y: Array) -> Array:
    return np.matmul(x, y)


def solve(a: Array, b: Array) -> Array:
    return np.linalg.solve(a, b)


def lstsq(a: Array, b: Array) -> Array:
    return np.linalg.lstsq(a, b, rcond=None)[0]


def cholesky(a: Array) -> Array:
    return np.linalg.cholesky(a)


def eigh(a: Array) -> tuple[Array, Array]:
    values, vectors = np.linalg.eigh(a)
    return values, vectors


def svd(a: Array) -> tuple[Array, Array, Array]:
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return u, s, vt


def exact_weight(w: Array) -> ExactWeight:
    w = np.asarray(w, np.float64)
    if w.ndim != 2 or not np.isfinite(w).all():
        raise ValueError(
            "An exact weight must be a matrix of finite numbers. Expected shape (V, N). "
            f"Received: shape={w.shape}, finite={bool(np.isfinite(w).all())}."
        )
    scale = 2.0**WEIGHT_BITS
    grid = np.rint(np.clip(w, -WEIGHT_LIMIT, WEIGHT_LIMIT) * scale) / scale
    blocks = tuple(
        np.ascontiguousarray(grid[i : i + BLOCK_TERMS]) for i in range(0, len(grid), BLOCK_TERMS)
    )
    return ExactWeight((w.shape[0], w.shape[1]), blocks)


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    w = w if isinstance(w, ExactWeight) else exact_weight(w)
    x = np.asarray(x, np.float32)
    terms, width = w.shape
    if not x.ndim or x.shape[-1] != terms:
        raise ValueError(
            "The operands of exact_matmul do not fit. Expected the last axis of x to be "
            f"V={terms} of w. Received: x.shape={x.shape}, w.shape={w.shape}."
        )
    rows = x.reshape(-1, terms)
    out = np.zeros((len(rows), width), np.float32)
    for start in range(0, len(rows) if w.blocks else 0, _TILE_ROWS):
        stop = start + _TILE_ROWS
        tile = np.minimum(rows[start:stop], _LIMIT)
        np.maximum(tile, -_LIMIT, out=tile)
        tile += _GRID
        tile -= _GRID
        wide = tile.astype(np.float64)
        total = wide[:, :BLOCK_TERMS] @ w.blocks[0]
        for i, block in enumerate(w.blocks[1:], 1):
            total += wide[:, i * BLOCK_TERMS : (i + 1) * BLOCK_TERMS] @ block
        out[start:stop] = total
    return out.reshape(*x.shape[:-1], width)


# --- random


def generator(seed: int | None = None) -> Any:
    return np.random.default_rng(seed)


def normal(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return generator.standard_normal(shape, dtype)


def uniform(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return generator.random(shape, dtype)


def bernoulli(generator: Any, probability: Array) -> Array:
    p = np.asarray(probability)
    return (p > generator.random(p.shape, p.dtype)).astype(p.dtype)


def permutation(generator: Any, n: int) -> Array:
    return generator.permutation(n)
