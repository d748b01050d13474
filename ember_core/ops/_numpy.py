"""The operations on NumPy arrays. What they mean is said in the public ones.

A backend is one file, whatever its length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from ._exact import (
    BLOCK_TERMS,
    GRID,
    INPUT_LIMIT,
    WEIGHT_BITS,
    WEIGHT_LIMIT,
    ExactWeight,
    check_fits,
)
from ._reduction import Axis
from ._select import Array, Shape, load_extra, unknown_device, wanted_device

_GRID = np.float32(GRID)
_LIMIT = np.float32(INPUT_LIMIT)
_TILE_ROWS = 256  # keeps a tile's temporaries in the second-level cache

# --- devices

BACKEND = "numpy"


def check_device(name: str) -> str:
    if name != "cpu":
        raise unknown_device(BACKEND, name, ["cpu"])
    return name


def on_device(name: str) -> Any:
    return nullcontext()


def _here(device: str | None) -> None:
    wanted = device or wanted_device(BACKEND)
    if wanted is not None:
        check_device(wanted)


def device(x: Array) -> str:
    return "cpu"


def move(x: Array, device: str) -> Array:
    check_device(device)
    return x


# --- creation


def asarray(x: Any, dtype: str | None = None) -> Array:
    return np.asarray(x, dtype=dtype)


def from_numpy(x: Any, *, device: str | None = None, like: Array | None = None) -> Array:
    _here(device)
    return np.asarray(x)


def to_numpy(x: Array) -> Any:
    return np.asarray(x)


def zeros(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    _here(device)
    return np.zeros(shape, dtype)


def ones(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    _here(device)
    return np.ones(shape, dtype)


def full(
    shape: Shape,
    value: float,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    _here(device)
    return np.full(shape, value, dtype)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: str = "int64",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    _here(device)
    first, last = (0, start) if stop is None else (start, stop)
    return np.arange(first, last, step, dtype=dtype)


def linspace(
    start: float,
    stop: float,
    num: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    _here(device)
    return np.linspace(start, stop, num, dtype=dtype)


def eye(
    n: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    _here(device)
    return np.eye(n, dtype=dtype)


def zeros_like(x: Array) -> Array:
    return np.zeros_like(x)


def ones_like(x: Array) -> Array:
    return np.ones_like(x)


# --- each element

exp, expm1, log, log1p = np.exp, np.expm1, np.log, np.log1p
sin, cos, tan = np.sin, np.cos, np.tan
arcsin, arccos, arctan, arctan2 = np.arcsin, np.arccos, np.arctan, np.arctan2
sinh, cosh, tanh = np.sinh, np.cosh, np.tanh
sqrt, square, abs, sign = np.sqrt, np.square, np.abs, np.sign  # noqa: A001
floor, ceil, round = np.floor, np.ceil, np.rint  # noqa: A001
minimum, maximum, power, logaddexp = np.minimum, np.maximum, np.power, np.logaddexp
isfinite, isnan = np.isfinite, np.isnan


def sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) = inf gives the right 0, faster than a clip
        z = np.exp(np.negative(x))
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


def prod(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    return np.prod(x, axis=axis, keepdims=keepdims)


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, np.zeros_like(top))  # -inf - -inf would be NaN
    with np.errstate(divide="ignore"):
        out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis)


def cumsum(x: Array, axis: int) -> Array:
    return np.cumsum(x, axis=axis, dtype=np.asarray(x).dtype)


def argmax(x: Array, axis: int | None = None) -> Array:
    return np.argmax(x, axis=axis)


def argmin(x: Array, axis: int | None = None) -> Array:
    return np.argmin(x, axis=axis)


def sort(x: Array, axis: int = -1) -> Array:
    return np.sort(x, axis=axis)


def argsort(x: Array, axis: int = -1) -> Array:
    return np.argsort(x, axis=axis, kind="stable")


def quantile(x: Array, q: float | Array, axis: int | None = None) -> Array:
    out = np.quantile(x, q, axis=axis)
    kind = np.asarray(x).dtype
    return out.astype(kind) if kind.kind == "f" else out


# --- shape


def dtype(x: Array) -> str:
    return _name(np.asarray(x).dtype)


@lru_cache(maxsize=64)
def _name(kind: Any) -> str:
    return str(kind.name)  # which NumPy puts together anew each time


def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    return np.transpose(x, axes)


def reshape(x: Array, shape: Shape) -> Array:
    return np.reshape(x, shape)


def expand_dims(x: Array, axis: int) -> Array:
    return np.expand_dims(x, axis)


def squeeze(x: Array, axis: int) -> Array:
    return np.squeeze(x, axis)


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


def flip(x: Array, axis: int) -> Array:
    return np.flip(x, axis)


def roll(x: Array, shift: int, axis: int) -> Array:
    return np.roll(x, shift, axis)


def pad(x: Array, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    return np.pad(x, widths, mode="constant", constant_values=value)


def tril(x: Array, k: int = 0) -> Array:
    return np.tril(x, k)


def triu(x: Array, k: int = 0) -> Array:
    return np.triu(x, k)


def diagonal(x: Array) -> Array:
    return np.diagonal(x)


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    return np.take(x, indices, axis=axis)


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    return np.take_along_axis(x, indices, axis)


def ascontiguous(x: Array) -> Array:
    return np.ascontiguousarray(x)


def copy(x: Array) -> Array:
    return np.array(x, order="C")


# --- matrices


def matmul(x: Array, y: Array) -> Array:
    return np.matmul(x, y)


def einsum(subscripts: str, *operands: Array) -> Array:
    return np.einsum(subscripts, *operands)


def det(a: Array) -> Array:
    return np.linalg.det(a)


def inv(a: Array) -> Array:
    return np.linalg.inv(a)


def pinv(a: Array) -> Array:
    return np.linalg.pinv(a)


def qr(a: Array) -> tuple[Array, Array]:
    q, r = np.linalg.qr(a)
    return q, r


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
        stack = np.zeros((*x.shape[:-1], width))
        for i, block in enumerate(w.blocks):
            stack += wide[..., i * BLOCK_TERMS : (i + 1) * BLOCK_TERMS] @ block
        return stack.astype(np.float32)
    rows = x.reshape(-1, terms)
    out = np.zeros((len(rows), width), np.float32)
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
    # NumPy converts, computes and rounds by pieces that stay in the cache.
    return function(x, out=np.empty_like(x), dtype=np.float64, casting="unsafe")


def _on_grid(x: Array) -> Array:
    """Float32 held within the limits and rounded to the grid."""
    x = np.minimum(x, _LIMIT)
    np.maximum(x, -_LIMIT, out=x)
    x += _GRID
    x -= _GRID
    return x


# --- random


def generator(
    seed: int | None = None, *, device: str | None = None, like: Array | None = None
) -> Any:
    _here(device)
    return np.random.default_rng(seed)


def normal(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return generator.standard_normal(shape, dtype)


def uniform(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return generator.random(shape, dtype)


def bernoulli(generator: Any, probability: Array) -> Array:
    p = np.asarray(probability)
    return (p > uniform(generator, p.shape, p.dtype.name)).astype(p.dtype)


def integers(generator: Any, low: int, high: int, shape: Shape) -> Array:
    return generator.integers(low, high, shape)


def exponential(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return generator.standard_exponential(shape, dtype)


def gamma(generator: Any, concentration: Array) -> Array:
    concentration = np.asarray(concentration)
    return generator.standard_gamma(concentration).astype(concentration.dtype)


def poisson(generator: Any, rate: Array) -> Array:
    rate = np.asarray(rate)
    return generator.poisson(rate).astype(rate.dtype)


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
    traced = load_extra("autograd", "ember_core.ops._autograd")
    return traced.value_and_grads(function, leaves)  # type: ignore[no-any-return]
