"""The operations on MLX's arrays. What they mean is said in the public ones.

A backend is one file, whatever its length.

MLX has float64 on its CPU device only, and some of its float64 functions and derivatives are right
to float32 only (0.32: exp, sin, cos, sigmoid, logaddexp): those are put together here from exact
ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import mlx.core as mx
import numpy as np

from . import _numpy
from ._exact import BLOCK_TERMS, GRID, INPUT_LIMIT, ExactWeight, check_fits
from ._reduction import Axis, quantile_by_sorting
from ._select import Array, Shape, unknown_device, wanted_device

BACKEND = "mlx"  # memory is shared: a device is where an operation runs

# --- devices


def _devices() -> dict[str, Any]:
    gpu = {"gpu": mx.gpu} if mx.is_available(mx.gpu) else {}
    return {"cpu": mx.cpu} | gpu


def check_device(name: str) -> str:
    if name not in _devices():
        raise unknown_device(BACKEND, name, list(_devices()))
    return name


def on_device(name: str) -> Any:
    return mx.stream(_devices()[check_device(name)])


def _place(device: str | None) -> Any:
    wanted = device or wanted_device(BACKEND)
    return nullcontext() if wanted is None else on_device(wanted)


def device(x: Array) -> str:
    return str(mx.default_device().type).rpartition(".")[2]


def move(x: Array, device: str) -> Array:
    check_device(device)
    return x


# --- creation


def _dtype(name: str | None) -> Any:
    found = None if name is None else getattr(mx, "bool_" if name == "bool" else name, None)
    if name is not None and not isinstance(found, mx.Dtype):
        raise TypeError(f"MLX has no such dtype. Received: dtype={name!r}.")
    if name == "float64" and mx.default_device() != mx.Device(mx.cpu):
        raise TypeError(
            "MLX has float64 on the CPU only. Expected device 'cpu'. Received: dtype='float64' on "
            f"{mx.default_device()}. Set EMBER_DEVICE=cpu, or use ops.default_device('cpu')."
        )
    return found


def asarray(x: Any, dtype: str | None = None) -> Array:
    if isinstance(x, mx.array):
        return x if dtype is None else x.astype(_dtype(dtype))
    return mx.array(x, _dtype(dtype))


def from_numpy(x: Any, *, device: str | None = None, like: Array | None = None) -> Array:
    x = np.require(x, requirements="C")
    with _place(device):
        return mx.array(x, _dtype(x.dtype.name))


def to_numpy(x: Array) -> Any:
    return np.array(x)


def zeros(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    with _place(device):
        return mx.zeros(shape, _dtype(dtype))


def ones(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    with _place(device):
        return mx.ones(shape, _dtype(dtype))


def full(
    shape: Shape,
    value: float,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    with _place(device):
        return mx.full(shape, mx.array(value, _dtype(dtype)))


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: str = "int64",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    first, last = (0, start) if stop is None else (start, stop)
    with _place(device):
        return mx.arange(first, last, step, _dtype(dtype))


def linspace(
    start: float,
    stop: float,
    num: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    with _place(device):
        return mx.linspace(start, stop, num, dtype=_dtype(dtype))


def eye(
    n: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    with _place(device):
        return mx.eye(n, dtype=_dtype(dtype))


def zeros_like(x: Array) -> Array:
    return mx.zeros_like(asarray(x))


def ones_like(x: Array) -> Array:
    return mx.ones_like(asarray(x))


def _lengths(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


# --- each element

log, log1p = mx.log, mx.log1p
arcsin, arccos, arctan, arctan2 = mx.arcsin, mx.arccos, mx.arctan, mx.arctan2
sinh, cosh, tanh = mx.sinh, mx.cosh, mx.tanh
sqrt, square, abs = mx.sqrt, mx.square, mx.abs  # noqa: A001
floor, ceil, round = mx.floor, mx.ceil, mx.round  # noqa: A001
minimum, maximum, power = mx.minimum, mx.maximum, mx.power
isfinite, isnan = mx.isfinite, mx.isnan


def _wide(x: Array) -> bool:
    return isinstance(x, mx.array) and x.dtype == mx.float64


def _with_derivative(function: Any, derivative: Any) -> Any:
    """`function` with another derivative: of inputs, what comes back, and the output."""
    made = mx.custom_function(function)
    made.vjp(derivative)
    return made


# MLX's own derivatives go through its cos and its exp.
tan = _with_derivative(lambda x: mx.tan(x), lambda x, back, out: back * (1.0 + out * out))
expm1 = _with_derivative(lambda x: mx.expm1(x), lambda x, back, out: back * (out + 1.0))


def exp(x: Array) -> Array:
    return mx.power(mx.array(np.e, mx.float64), x) if _wide(x) else mx.exp(x)


def sin(x: Array) -> Array:
    if not _wide(x):
        return mx.sin(x)
    t = tan(0.5 * x)
    return 2.0 * t / (1.0 + t * t)


def cos(x: Array) -> Array:
    if not _wide(x):
        return mx.cos(x)
    t = tan(0.5 * x)
    return (1.0 - t) * (1.0 + t) / (1.0 + t * t)


def sigmoid(x: Array) -> Array:
    if not _wide(x):
        return mx.sigmoid(x)
    return 1.0 / (1.0 + exp(-mx.maximum(x, -700.0)))  # exp stays finite, and so the gradient


def softplus(x: Array) -> Array:
    x = asarray(x)
    if not _wide(x):
        return mx.logaddexp(x, 0.0)
    # Each half by itself, so that the gradient at 0 is the right one.
    above, below = mx.where(x > 0, x, 0.0), mx.where(x > 0, 0.0, x)
    return mx.where(x > 0, x + mx.log1p(exp(-above)), mx.log1p(exp(below)))


def logaddexp(x: Array, y: Array) -> Array:
    if not _wide(x) and not _wide(y):
        return mx.logaddexp(x, y)
    top = mx.maximum(x, y)
    top = mx.stop_gradient(mx.where(mx.isinf(top), 0.0, top))
    return mx.log(exp(x - top) + exp(y - top)) + top


def relu(x: Array) -> Array:
    return mx.maximum(x, 0)


def sign(x: Array) -> Array:
    return mx.sign(x)


def clip(x: Array, low: float | Array, high: float | Array) -> Array:
    return mx.minimum(mx.maximum(x, low), high)


def where(condition: Array, x: Array | float, y: Array | float) -> Array:
    return mx.where(condition, x, y)


def astype(x: Array, dtype: str) -> Array:
    return asarray(x, dtype)


# --- reductions


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return mx.sum(x, axis, keepdims)


def wide_sum(x: Array) -> Array:
    here = mx.default_device() == mx.Device(mx.cpu)  # MLX has float64 there only
    return mx.sum(x.astype(mx.float64) if here else x, -1)


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return mx.mean(x, axis, keepdims)


def var(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return mx.var(x, axis, keepdims)


def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return mx.std(x, axis, keepdims)


def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return mx.max(x, axis, keepdims)


def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return mx.min(x, axis, keepdims)


def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return mx.any(x, axis, keepdims)


def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return mx.all(x, axis, keepdims)


def prod(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    return mx.prod(x, axis, keepdims)


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if not _wide(x):
        return mx.logsumexp(x, axis, keepdims)
    top = mx.max(x, axis, True)
    top = mx.stop_gradient(mx.where(mx.isinf(top), 0.0, top))
    out = mx.log(mx.sum(exp(x - top), axis, True)) + top
    return out if keepdims else mx.squeeze(out, axis)


def cumsum(x: Array, axis: int) -> Array:
    return mx.cumsum(x, axis)


def argmax(x: Array, axis: int | None = None) -> Array:
    return mx.argmax(x, axis).astype(mx.int64)


def argmin(x: Array, axis: int | None = None) -> Array:
    return mx.argmin(x, axis).astype(mx.int64)


def sort(x: Array, axis: int = -1) -> Array:
    return mx.sort(x, axis)


def argsort(x: Array, axis: int = -1) -> Array:
    return mx.argsort(x, axis).astype(mx.int64)


def quantile(x: Array, q: float | Array, axis: int | None = None) -> Array:
    return quantile_by_sorting(sys.modules[__name__], asarray(x), q, axis)


# --- shape


def dtype(x: Array) -> str:
    return str(asarray(x).dtype).removeprefix("mlx.core.").removesuffix("_")


def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    return mx.transpose(x, axes)


def reshape(x: Array, shape: Shape) -> Array:
    return mx.reshape(x, _lengths(shape))


def expand_dims(x: Array, axis: int) -> Array:
    return mx.expand_dims(x, axis)


def squeeze(x: Array, axis: int) -> Array:
    return mx.squeeze(x, axis)


def broadcast_to(x: Array, shape: Shape) -> Array:
    return mx.broadcast_to(x, _lengths(shape))


def concatenate(arrays: Sequence[Array], axis: int = 0) -> Array:
    return mx.concatenate(list(arrays), axis)


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    return mx.stack(list(arrays), axis)


def tile(x: Array, repeats: Sequence[int]) -> Array:
    return mx.tile(x, list(repeats))


def repeat(x: Array, repeats: int, axis: int) -> Array:
    return mx.repeat(x, repeats, axis)


def flip(x: Array, axis: int) -> Array:
    return mx.flip(x, axis)


def roll(x: Array, shift: int, axis: int) -> Array:
    return mx.roll(x, shift, axis)


def pad(x: Array, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    return mx.pad(x, list(widths), constant_values=mx.array(value, x.dtype))


def tril(x: Array, k: int = 0) -> Array:
    return mx.tril(x, k)


def triu(x: Array, k: int = 0) -> Array:
    return mx.triu(x, k)


def diagonal(x: Array) -> Array:
    return mx.diagonal(x)


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    return mx.take(x, asarray(indices), axis)


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    return mx.take_along_axis(x, indices, axis)


def ascontiguous(x: Array) -> Array:
    return mx.contiguous(x)


def copy(x: Array) -> Array:
    return mx.array(x)


# --- matrices; MLX factorises on the CPU only


def matmul(x: Array, y: Array) -> Array:
    return mx.matmul(x, y)


def einsum(subscripts: str, *operands: Array) -> Array:
    return mx.einsum(subscripts, *operands)


def det(a: Array) -> Array:
    sign, log_size = mx.linalg.slogdet(a, stream=mx.cpu)
    return sign * exp(log_size)


def inv(a: Array) -> Array:
    return _solve(a, mx.eye(a.shape[-1], dtype=a.dtype))


def pinv(a: Array) -> Array:
    return mx.linalg.pinv(a, stream=mx.cpu)


def qr(a: Array) -> tuple[Array, Array]:
    q, r = mx.linalg.qr(a, stream=mx.cpu)
    return q, r


def _solve_derivative(inputs: Any, back: Array, out: Array) -> tuple[Array, Array]:
    """Of `x` in `a x = b`, which MLX has none of: `g = a^-T back`, and `-g x^T`."""
    grad = mx.linalg.solve(mx.transpose(inputs[0]), back, stream=mx.cpu)
    x, g = (out, grad) if out.ndim == 2 else (out[:, None], grad[:, None])
    return -(g @ mx.transpose(x)), grad


_solve = _with_derivative(lambda a, b: mx.linalg.solve(a, b, stream=mx.cpu), _solve_derivative)


def solve(a: Array, b: Array) -> Array:
    return _solve(a, b)


def lstsq(a: Array, b: Array) -> Array:
    return mx.matmul(pinv(a), b)


def cholesky(a: Array) -> Array:
    return mx.linalg.cholesky(a, stream=mx.cpu)


def eigh(a: Array) -> tuple[Array, Array]:
    values, vectors = mx.linalg.eigh(a, stream=mx.cpu)
    return values, vectors


def svd(a: Array) -> tuple[Array, Array, Array]:
    u, s, vt = mx.linalg.svd(a, stream=mx.cpu)
    k = s.shape[0]
    return u[:, :k], s, vt[:k]


def exact_weight(w: Array) -> ExactWeight:
    exact = _numpy.exact_weight(to_numpy(asarray(w)))
    return ExactWeight(exact.shape, tuple(mx.array(b, mx.float64) for b in exact.blocks))


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    x = asarray(x)
    w = w if isinstance(w, ExactWeight) else exact_weight(w)
    check_fits(tuple(x.shape), w)
    with mx.stream(mx.cpu):
        held = clip(x.astype(mx.float32), -INPUT_LIMIT, INPUT_LIMIT)
        wide = (held + GRID - GRID).astype(mx.float64)
        total = mx.zeros((*x.shape[:-1], w.shape[-1]), mx.float64)
        for i, block in enumerate(w.blocks):
            total = total + wide[..., i * BLOCK_TERMS : (i + 1) * BLOCK_TERMS] @ block
        return total.astype(mx.float32)


def exact_tanh(x: Array) -> Array:
    return _rounded(mx.tanh, x)


def exact_exp(x: Array) -> Array:
    return _rounded(exp, x)


def _rounded(function: Callable[[Array], Array], x: Array) -> Array:
    with mx.stream(mx.cpu):
        wide = asarray(x).astype(mx.float32).astype(mx.float64)
        return function(wide).astype(mx.float32)


# --- random


class Generator:
    """A sequence of random numbers: each draw splits MLX's key."""

    def __init__(self, seed: int) -> None:
        self._key = mx.random.key(seed)

    def key(self) -> Array:
        """A key that was not given out before."""
        self._key, given = mx.random.split(self._key)
        return given

    def get_state(self) -> Array:
        """Where the sequence stands, as PyTorch's generators say it."""
        return self._key

    def set_state(self, state: Array) -> None:
        """Go on from what `get_state` gave."""
        self._key = state

    def host(self) -> np.random.Generator:
        """A NumPy generator for a draw MLX does not have."""
        return np.random.default_rng(np.array(self.key()))


def generator(
    seed: int | None = None, *, device: str | None = None, like: Array | None = None
) -> Any:
    with _place(device):
        return Generator(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))


def normal(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    kind = _dtype(dtype)
    if kind == mx.float64:  # MLX's own has the steps of a float32
        return from_numpy(generator.host().standard_normal(shape))
    return mx.random.normal(_lengths(shape), kind, key=generator.key())


def uniform(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    kind = _dtype(dtype)
    if kind == mx.float64:
        return from_numpy(generator.host().random(shape))
    return mx.random.uniform(shape=_lengths(shape), dtype=kind, key=generator.key())


def bernoulli(generator: Any, probability: Array) -> Array:
    p = asarray(probability)
    return (p > uniform(generator, tuple(p.shape), dtype(p))).astype(p.dtype)


def integers(generator: Any, low: int, high: int, shape: Shape) -> Array:
    return from_numpy(generator.host().integers(low, high, shape))


def exponential(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return -mx.log1p(-uniform(generator, shape, dtype))


def gamma(generator: Any, concentration: Array) -> Array:
    drawn = generator.host().standard_gamma(to_numpy(concentration))
    return mx.array(drawn, concentration.dtype)


def poisson(generator: Any, rate: Array) -> Array:
    return mx.array(generator.host().poisson(to_numpy(rate)).astype(np.float64), rate.dtype)


def permutation(generator: Any, n: int) -> Array:
    return mx.random.permutation(n, key=generator.key()).astype(mx.int64)


# --- spectrum, gradients


def rfft(x: Array, axis: int = -1) -> Array:
    return mx.fft.rfft(x.astype(mx.float32), axis=axis)


def irfft(x: Array, n: int, axis: int = -1) -> Array:
    return mx.fft.irfft(x, n, axis=axis)


def stop_gradient(x: Array) -> Array:
    return mx.stop_gradient(x)


def value_and_grads(
    function: Callable[[list[Array]], tuple[Array, Any]], leaves: list[Array]
) -> tuple[Array, Any, list[Array]]:
    def scalar(values: list[Array]) -> tuple[Array, Any]:
        value, rest = function(values)
        return asarray(value), rest

    (value, rest), grads = mx.value_and_grad(scalar)(list(leaves))
    mx.eval(value, grads)
    return value, rest, grads
