"""The operations on MLX's arrays; the public functions document them.

A backend is one file, whatever its length.

MLX has float64 on its CPU device only, and some of its float64 functions and derivatives are right
to float32 only (0.32: exp, sin, cos, sigmoid, logaddexp): those are put together here from exact
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import mlx.core as mx
import numpy as np

from ember_core.ops.dispatch import Array, Axis, Shape, unknown_device, wanted_device
from ember_core.ops.exact import BLOCK_TERMS, GRID, INPUT_LIMIT, ExactWeight, check_fits

from . import numpy as host

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


def resolve_device(device: str | None, like: Array | None) -> Any:
    requested = device or wanted_device(BACKEND)
    return nullcontext() if requested is None else on_device(requested)


def device(x: Array) -> str:
    return str(mx.default_device().type).rpartition(".")[2]


def move(x: Array, device: str) -> Array:
    check_device(device)
    return x


# --- creation


def _dtype(name: str | None) -> Any:
    dtype = None if name is None else getattr(mx, "bool_" if name == "bool" else name, None)
    if name is not None and not isinstance(dtype, mx.Dtype):
        raise TypeError(f"MLX has no such dtype. Received: dtype={name!r}.")
    if name == "float64" and mx.default_device() != mx.Device(mx.cpu):
        raise TypeError(
            "MLX has float64 on the CPU only. Expected device 'cpu'. Received: dtype='float64' on "
            f"{mx.default_device()}. Set EMBER_DEVICE=cpu, or use ops.default_device('cpu')."
        )
    return dtype


def asarray(x: Any, dtype: str | None = None) -> Array:
    if isinstance(x, mx.array):
        return x if dtype is None else x.astype(_dtype(dtype))
    return mx.array(x, _dtype(dtype))


def from_numpy(x: Any, device: Any) -> Array:
    x = np.require(x, requirements="C")
    with device:
        return mx.array(x, _dtype(x.dtype.name))


def to_numpy(x: Array) -> Any:
    return np.array(x)


def zeros(shape: Shape, dtype: str, device: Any) -> Array:
    with device:
        return mx.zeros(shape, _dtype(dtype))


def ones(shape: Shape, dtype: str, device: Any) -> Array:
    with device:
        return mx.ones(shape, _dtype(dtype))


def full(shape: Shape, value: float, dtype: str, device: Any) -> Array:
    with device:
        return mx.full(shape, mx.array(value, _dtype(dtype)))


def arange(start: float, stop: float | None, step: float, dtype: str, device: Any) -> Array:
    first, last = (0, start) if stop is None else (start, stop)
    with device:
        return mx.arange(first, last, step, _dtype(dtype))


def eye(n: int, dtype: str, device: Any) -> Array:
    with device:
        return mx.eye(n, dtype=_dtype(dtype))


def zeros_like(x: Array) -> Array:
    return mx.zeros_like(asarray(x))


def ones_like(x: Array) -> Array:
    return mx.ones_like(asarray(x))


def _lengths(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


# --- each element

log, log1p = mx.log, mx.log1p
tanh = mx.tanh
sqrt, square, abs = mx.sqrt, mx.square, mx.abs  # noqa: A001
floor, round = mx.floor, mx.round  # noqa: A001
minimum, maximum = mx.minimum, mx.maximum
isfinite, isnan = mx.isfinite, mx.isnan


def _wide(x: Array) -> bool:
    return isinstance(x, mx.array) and x.dtype == mx.float64


def _with_derivative(function: Any, derivative: Any) -> Any:
    """Give `function` another derivative, a function of its inputs, gradient and output."""
    custom = mx.custom_function(function)
    custom.vjp(derivative)
    return custom


# MLX's own derivatives go through its cos and its exp.
_tan = _with_derivative(lambda x: mx.tan(x), lambda x, back, out: back * (1.0 + out * out))
expm1 = _with_derivative(lambda x: mx.expm1(x), lambda x, back, out: back * (out + 1.0))


def exp(x: Array) -> Array:
    return mx.power(mx.array(np.e, mx.float64), x) if _wide(x) else mx.exp(x)


def sin(x: Array) -> Array:
    if not _wide(x):
        return mx.sin(x)
    t = _tan(0.5 * x)
    return 2.0 * t / (1.0 + t * t)


def cos(x: Array) -> Array:
    if not _wide(x):
        return mx.cos(x)
    t = _tan(0.5 * x)
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
    positive, negative = mx.where(x > 0, x, 0.0), mx.where(x > 0, 0.0, x)
    return mx.where(x > 0, x + mx.log1p(exp(-positive)), mx.log1p(exp(negative)))


def relu(x: Array) -> Array:
    return mx.maximum(x, 0)


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
    on_cpu = mx.default_device() == mx.Device(mx.cpu)  # MLX has float64 there only
    return mx.sum(x.astype(mx.float64) if on_cpu else x, -1)


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return mx.mean(x, axis, keepdims)


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


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if not _wide(x):
        return mx.logsumexp(x, axis, keepdims)
    top = mx.max(x, axis, True)
    top = mx.stop_gradient(mx.where(mx.isinf(top), 0.0, top))
    out = mx.log(mx.sum(exp(x - top), axis, True)) + top
    return out if keepdims else mx.squeeze(out, axis)


def argmax(x: Array, axis: int | None = None) -> Array:
    return mx.argmax(x, axis).astype(mx.int64)


# --- shape


def dtype(x: Array) -> str:
    return str(asarray(x).dtype).removeprefix("mlx.core.").removesuffix("_")


def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    return mx.transpose(x, axes)


def reshape(x: Array, shape: Shape) -> Array:
    return mx.reshape(x, _lengths(shape))


def expand_dims(x: Array, axis: int) -> Array:
    return mx.expand_dims(x, axis)


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


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    return mx.take(x, asarray(indices), axis)


def ascontiguous(x: Array) -> Array:
    return mx.contiguous(x)


def copy(x: Array) -> Array:
    return mx.array(x)


# --- matrices; MLX factorises on the CPU only


def matmul(x: Array, y: Array) -> Array:
    return mx.matmul(x, y)


def _solve_derivative(inputs: Any, back: Array, out: Array) -> tuple[Array, Array]:
    """Differentiate `x` in `a x = b`, which MLX does not: `g = a^-T back`, and `-g x^T`."""
    grad = mx.linalg.solve(mx.transpose(inputs[0]), back, stream=mx.cpu)
    x, g = (out, grad) if out.ndim == 2 else (out[:, None], grad[:, None])
    return -(g @ mx.transpose(x)), grad


_solve = _with_derivative(lambda a, b: mx.linalg.solve(a, b, stream=mx.cpu), _solve_derivative)


def solve(a: Array, b: Array) -> Array:
    return _solve(a, b)


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
    exact = host.exact_weight(to_numpy(asarray(w)))
    return ExactWeight(exact.shape, tuple(mx.array(b, mx.float64) for b in exact.blocks))


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    x = asarray(x)
    w = w if isinstance(w, ExactWeight) else exact_weight(w)
    check_fits(tuple(x.shape), w)
    # Float64, and with it the exact product, exists on MLX's CPU stream only.
    with mx.stream(mx.cpu):
        clipped = clip(x.astype(mx.float32), -INPUT_LIMIT, INPUT_LIMIT)
        wide = (clipped + GRID - GRID).astype(mx.float64)
        total = mx.zeros((*x.shape[:-1], w.shape[-1]), mx.float64)
        for i, block in enumerate(w.blocks):
            total = total + wide[..., i * BLOCK_TERMS : (i + 1) * BLOCK_TERMS] @ block
        return total.astype(mx.float32)


def exact_tanh(x: Array) -> Array:
    return _on_host(host.exact_tanh, x)


def exact_exp(x: Array) -> Array:
    return _on_host(host.exact_exp, x)


def exact_log(x: Array) -> Array:
    return _on_host(host.exact_log, x)


def exact_sin(x: Array) -> Array:
    return _on_host(host.exact_sin, x)


def exact_cos(x: Array) -> Array:
    return _on_host(host.exact_cos, x)


def wide_exp(x: Array) -> Array:
    return _on_host(host.wide_exp, x)


def wide_log(x: Array) -> Array:
    return _on_host(host.wide_log, x)


def _on_host(function: Callable[[Any], Any], x: Array) -> Array:
    # MLX has float64 on the CPU only, and there an exp that is put together from powers.
    value = np.asarray(function(to_numpy(asarray(x))))
    return mx.array(value, _dtype(value.dtype.name))


# --- random


class Generator:
    """Sequence of random numbers; each draw splits MLX's key."""

    def __init__(self, seed: int) -> None:
        self._key = mx.random.key(seed)

    def key(self) -> Array:
        """Return a key that was not returned before."""
        self._key, subkey = mx.random.split(self._key)
        return subkey

    def get_state(self) -> Array:
        """Return the position of the sequence, as PyTorch's generators do."""
        return self._key

    def set_state(self, state: Array) -> None:
        """Continue from a result of `get_state`."""
        self._key = state

    def host(self) -> np.random.Generator:
        """Make a NumPy generator for a draw that MLX lacks."""
        return np.random.default_rng(np.array(self.key()))


def generator(seed: int | None, device: Any) -> Any:
    with device:
        return Generator(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))


def normal(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    kind = _dtype(dtype)
    if kind == mx.float64:  # MLX's own has the steps of a float32
        return from_numpy(generator.host().standard_normal(shape), resolve_device(None, None))
    return mx.random.normal(_lengths(shape), kind, key=generator.key())


def uniform(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    kind = _dtype(dtype)
    if kind == mx.float64:
        return from_numpy(generator.host().random(shape), resolve_device(None, None))
    return mx.random.uniform(shape=_lengths(shape), dtype=kind, key=generator.key())


def bernoulli(generator: Any, probability: Array) -> Array:
    p = asarray(probability)
    return (p > uniform(generator, tuple(p.shape), dtype(p))).astype(p.dtype)


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
        value, extras = function(values)
        return asarray(value), extras

    (value, extras), grads = mx.value_and_grad(scalar)(list(leaves))
    # MLX is lazy: without this the graph would live as long as the gradients.
    mx.eval(value, grads)
    return value, extras, grads
