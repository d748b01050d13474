"""The operations on NumPy arrays; the public functions document them.

A backend is one file, whatever its length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from ember_core.ops import elementary
from ember_core.ops.dispatch import Array, Axis, Shape, load_extra, unknown_device, wanted_device
from ember_core.ops.exact import (
    BLOCK_TERMS,
    GRID,
    INPUT_LIMIT,
    WEIGHT_BITS,
    WEIGHT_LIMIT,
    ExactWeight,
    check_fits,
)

_GRID = np.float32(GRID)
_LIMIT = np.float32(INPUT_LIMIT)
_FEW = 4096  # numbers in float64 that stay in the first cache
_TILE_ROWS = 256  # keeps a tile's temporaries in the second-level cache

# --- devices

BACKEND = "numpy"


def check_device(name: str) -> str:
    if name != "cpu":
        raise unknown_device(BACKEND, name, ["cpu"])
    return name


def on_device(name: str) -> Any:
    return nullcontext()


def resolve_device(device: str | None, like: Array | None) -> None:
    requested = device or wanted_device(BACKEND)
    if requested is not None:
        check_device(requested)


def device(x: Array) -> str:
    return "cpu"


def move(x: Array, device: str) -> Array:
    check_device(device)
    return x


# --- creation


def asarray(x: Any, dtype: str | None = None) -> Array:
    return np.asarray(x, dtype=dtype)


def from_numpy(x: Any, device: Any) -> Array:
    return np.asarray(x)


def to_numpy(x: Array) -> Any:
    return np.asarray(x)


def zeros(shape: Shape, dtype: str, device: Any) -> Array:
    return np.zeros(shape, dtype)


def ones(shape: Shape, dtype: str, device: Any) -> Array:
    return np.ones(shape, dtype)


def full(shape: Shape, value: float, dtype: str, device: Any) -> Array:
    return np.full(shape, value, dtype)


def arange(start: float, stop: float | None, step: float, dtype: str, device: Any) -> Array:
    first, last = (0, start) if stop is None else (start, stop)
    return np.arange(first, last, step, dtype=dtype)


def eye(n: int, dtype: str, device: Any) -> Array:
    return np.eye(n, dtype=dtype)


def zeros_like(x: Array) -> Array:
    return np.zeros_like(x)


def ones_like(x: Array) -> Array:
    return np.ones_like(x)


# --- each element

exp, expm1, log, log1p = np.exp, np.expm1, np.log, np.log1p
sin, cos, tanh = np.sin, np.cos, np.tanh
sqrt, square, abs = np.sqrt, np.square, np.abs  # noqa: A001
floor, round = np.floor, np.rint  # noqa: A001
minimum, maximum = np.minimum, np.maximum
isfinite, isnan = np.isfinite, np.isnan


def sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) = inf gives the right 0, faster than a clip
        z = np.exp(np.negative(x))
    # In place: a temporary costs more here than the arithmetic.
    z += 1
    return np.reciprocal(z, out=z) if isinstance(z, np.ndarray) else np.divide(1, z)


def softplus(x: Array) -> Array:
    z = np.log1p(np.exp(np.negative(np.abs(x))))
    z += np.maximum(x, 0)
    return z


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def clip(x: Array, low: float | Array, high: float | Array) -> Array:
    return np.minimum(np.maximum(x, low), high)  # np.clip costs microseconds more per call


def where(condition: Array, x: Array | float, y: Array | float) -> Array:
    return np.where(condition, x, y)


def astype(x: Array, dtype: str) -> Array:
    return np.asarray(x, dtype)


# --- reductions


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return np.add.reduce(x, axis=axis, keepdims=bool(keepdims))  # type: ignore[call-overload]


def wide_sum(x: Array) -> Array:
    return np.add.reduce(x, axis=-1, dtype=np.float64)


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return np.mean(x, axis=axis, keepdims=keepdims)


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


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    top = np.max(x, axis=axis, keepdims=True)
    # The largest element is taken off first, so that exp does not overflow.
    top = np.where(np.isfinite(top), top, np.zeros_like(top))  # -inf - -inf would be NaN
    with np.errstate(divide="ignore"):
        out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis)


def argmax(x: Array, axis: int | None = None) -> Array:
    return np.argmax(x, axis=axis)


# --- shape


def dtype(x: Array) -> str:
    return _name(np.asarray(x).dtype)


@lru_cache(maxsize=64)
def _name(kind: Any) -> str:
    return str(kind.name)  # cached: NumPy builds the text anew at each access


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


def tile(x: Array, repeats: Sequence[int]) -> Array:
    return np.tile(x, repeats)


def repeat(x: Array, repeats: int, axis: int) -> Array:
    return np.repeat(x, repeats, axis)


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
    if w.ndim not in (2, 3) or not np.isfinite(w).all():
        raise ValueError(
            "An exact weight must be a matrix of finite numbers. Expected shape (V, N) or "
            "(S, V, N). "
            f"Received: shape={w.shape}, finite={bool(np.isfinite(w).all())}."
        )
    scale = 2.0**WEIGHT_BITS
    grid = np.rint(np.clip(w, -WEIGHT_LIMIT, WEIGHT_LIMIT) * scale) / scale
    blocks = tuple(
        np.ascontiguousarray(grid[..., i : i + BLOCK_TERMS, :])
        for i in range(0, w.shape[-2], BLOCK_TERMS)
    )
    return ExactWeight(w.shape, blocks)


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    w = w if isinstance(w, ExactWeight) else exact_weight(w)
    x = np.asarray(x, np.float32)
    check_fits(x.shape, w)
    terms, width = w.shape[-2:]
    if len(w.shape) == 3:
        wide = _on_grid(x).astype(np.float64)
        if len(w.blocks) == 1:
            return (wide @ w.blocks[0]).astype(np.float32)
        stack = np.zeros((*x.shape[:-1], width))
        for i, block in enumerate(w.blocks):
            stack += wide[..., i * BLOCK_TERMS : (i + 1) * BLOCK_TERMS] @ block
        return stack.astype(np.float32)
    rows = x.reshape(-1, terms)
    out = np.zeros((len(rows), width), np.float32)
    # Rows are independent: a product of grid values is exact, whatever the tile.
    for start in range(0, len(rows) if w.blocks else 0, _TILE_ROWS):
        stop = start + _TILE_ROWS
        wide = _on_grid(rows[start:stop]).astype(np.float64)
        total = wide[:, :BLOCK_TERMS] @ w.blocks[0]
        for i, block in enumerate(w.blocks[1:], 1):
            total += wide[:, i * BLOCK_TERMS : (i + 1) * BLOCK_TERMS] @ block
        out[start:stop] = total
    return out.reshape(*x.shape[:-1], width)


def exact_tanh(x: Array) -> Array:
    return _rounded(np.tanh, x)


def exact_exp(x: Array) -> Array:
    return _rounded(np.exp, x)


def _rounded(function: np.ufunc, x: Array) -> Array:
    x = np.asarray(x, np.float32)
    if x.size > _FEW:
        # NumPy converts, computes and rounds by pieces that stay in the cache.
        return function(x, out=np.empty_like(x), dtype=np.float64, casting="unsafe")
    wide = x.astype(np.float64)  # a call by pieces costs more than the pieces
    return np.asarray(function(wide, wide)).astype(np.float32)


def exact_log(x: Array) -> Array:
    wide = np.asarray(x, np.float32).astype(np.float64)
    return elementary.nearest_float32(np.log, elementary.log, wide)


def exact_sin(x: Array) -> Array:
    return elementary.nearest_float32(np.sin, elementary.sin, np.asarray(x, np.float64))


def exact_cos(x: Array) -> Array:
    return elementary.nearest_float32(np.cos, elementary.cos, np.asarray(x, np.float64))


def wide_exp(x: Array) -> Array:
    return elementary.nearest_wide(np.exp, elementary.exp, np.asarray(x, np.float64))


def wide_log(x: Array) -> Array:
    return elementary.nearest_wide(np.log, elementary.log, np.asarray(x, np.float64))


def _on_grid(x: Array) -> Array:
    """Float32 held within the limits and rounded to the grid."""
    x = np.minimum(x, _LIMIT)
    np.maximum(x, -_LIMIT, out=x)
    x += _GRID
    x -= _GRID
    return x


# --- random


def generator(seed: int | None, device: Any) -> Any:
    return np.random.default_rng(seed)


def normal(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return generator.standard_normal(shape, dtype)


def uniform(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return generator.random(shape, dtype)


def bernoulli(generator: Any, probability: Array) -> Array:
    p = np.asarray(probability)
    return (p > uniform(generator, p.shape, p.dtype.name)).astype(p.dtype)


def permutation(generator: Any, n: int) -> Array:
    return generator.permutation(n)


# --- spectrum, gradients


def rfft(x: Array, axis: int = -1) -> Array:
    return np.fft.rfft(x, axis=axis)


def irfft(x: Array, n: int, axis: int = -1) -> Array:
    return np.fft.irfft(x, n, axis=axis)


def stop_gradient(x: Array) -> Array:
    return x


def value_and_grads(
    function: Callable[[list[Array]], tuple[Array, Any]], leaves: list[Array]
) -> tuple[Array, Any, list[Array]]:
    traced = load_extra("autograd", "ember_core.ops.backends.autograd")
    return traced.value_and_grads(function, leaves)  # type: ignore[no-any-return]
