"""The operations on PyTorch's tensors. What they mean is said in the public ones.

A backend is one file, whatever its length.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import reduce
from typing import Any

import numpy as np
import torch

from . import _numpy
from ._exact import BLOCK_TERMS, GRID, INPUT_LIMIT, ExactWeight, check_fits
from ._reduction import Axis, quantile_by_sorting
from ._select import Array, Shape, unknown_device, wanted_device

BACKEND = "torch"


# --- devices


def check_device(name: str) -> str:
    known = ["cpu"]
    if torch.cuda.is_available():
        known += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        known.append("mps")
    if name not in known:
        raise unknown_device(BACKEND, name, known)
    return name


def on_device(name: str) -> Any:
    return nullcontext()


def _place(device: str | None, like: Array | None) -> Any:
    """Device of a new tensor."""
    if device is None and like is not None:
        return like.device
    wanted = device or wanted_device(BACKEND)
    return None if wanted is None else check_device(wanted)


def device(x: Array) -> str:
    return str(x.device)


def move(x: Array, device: str) -> Array:
    return x.to(check_device(device))


# --- creation


def _dtype(name: str | None) -> Any:
    found = None if name is None else getattr(torch, name, None)
    if name is not None and not isinstance(found, torch.dtype):
        raise TypeError(f"PyTorch has no such dtype. Received: dtype={name!r}.")
    return found


def asarray(x: Any, dtype: str | None = None) -> Array:
    if isinstance(x, torch.Tensor):
        return x if dtype is None else x.to(_dtype(dtype))
    return torch.as_tensor(x, dtype=_dtype(dtype), device=_place(None, None))


def from_numpy(x: Any, *, device: str | None = None, like: Array | None = None) -> Array:
    x = np.require(x, requirements=["C", "W"])  # PyTorch takes no read-only or reversed memory
    made = torch.as_tensor(x)
    place = _place(device, like)
    return made if place is None else made.to(place)


def to_numpy(x: Array) -> Any:
    return x.detach().cpu().numpy()


def zeros(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    return torch.zeros(shape, dtype=_dtype(dtype), device=_place(device, like))


def ones(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    return torch.ones(shape, dtype=_dtype(dtype), device=_place(device, like))


def full(
    shape: Shape,
    value: float,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    return torch.full(_lengths(shape), value, dtype=_dtype(dtype), device=_place(device, like))


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
    return torch.arange(first, last, step, dtype=_dtype(dtype), device=_place(device, like))


def linspace(
    start: float,
    stop: float,
    num: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    return torch.linspace(start, stop, num, dtype=_dtype(dtype), device=_place(device, like))


def eye(
    n: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    return torch.eye(n, dtype=_dtype(dtype), device=_place(device, like))


def zeros_like(x: Array) -> Array:
    return torch.zeros_like(asarray(x))


def ones_like(x: Array) -> Array:
    return torch.ones_like(asarray(x))


def _lengths(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


# --- each element


def _unary(function: Any) -> Any:
    def apply(x: Array) -> Array:
        return function(x if isinstance(x, torch.Tensor) else asarray(x))

    return apply


exp, expm1, log, log1p = map(_unary, (torch.exp, torch.expm1, torch.log, torch.log1p))
sin, cos, tan = map(_unary, (torch.sin, torch.cos, torch.tan))
arcsin, arccos, arctan = map(_unary, (torch.arcsin, torch.arccos, torch.arctan))
sinh, cosh, tanh = map(_unary, (torch.sinh, torch.cosh, torch.tanh))
sigmoid, square = map(_unary, (torch.sigmoid, torch.square))
abs, sign, floor, ceil = map(  # noqa: A001
    _unary, (torch.abs, torch.sgn, torch.floor, torch.ceil)
)
round, relu = map(_unary, (torch.round, torch.relu))  # noqa: A001
isfinite, isnan = map(_unary, (torch.isfinite, torch.isnan))


def sqrt(x: Array) -> Array:
    x = asarray(x)
    if x.dtype != torch.float32:
        return torch.sqrt(x)
    return _rounded(torch.sqrt, x)  # MKL's own in float32 is not always the nearest number


def _one_device(*arrays: Array) -> None:
    """Refuse tensors of two devices; numbers go with any.

    Raises:
        ValueError: If there are two.
    """
    devices = {x.device for x in arrays if isinstance(x, torch.Tensor) and x.ndim}
    if len(devices) > 1:
        raise ValueError(
            "The arrays of one operation are on two devices. Expected one device. Received: "
            f"{', '.join(sorted(map(str, devices)))}. Move them with ops.to(x, device=...)."
        )


def _pair(x: Array | float, y: Array | float) -> tuple[Array, Array]:
    """Two tensors on one device; a plain number takes the dtype of the other."""
    _one_device(x, y)
    if not isinstance(x, torch.Tensor):
        if isinstance(y, torch.Tensor):
            return _number(x, y), y
        x = asarray(x)
    return x, (y if isinstance(y, torch.Tensor) else _number(y, x))


def _number(value: Any, like: Array) -> Array:
    kind = like.dtype
    if not kind.is_floating_point and isinstance(value, float):
        kind = torch.get_default_dtype()
    number = value.item() if hasattr(value, "item") else value
    return torch.full((), number, dtype=kind, device=like.device)  # without waiting for a copy


def softplus(x: Array) -> Array:
    x = asarray(x)
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    return torch.logaddexp(x, torch.zeros_like(x))


def clip(x: Array, low: float | Array, high: float | Array) -> Array:
    return minimum(maximum(x, low), high)


def where(condition: Array, x: Array | float, y: Array | float) -> Array:
    _one_device(condition, x, y)
    return torch.where(condition, x, y)


def minimum(x: Array | float, y: Array | float) -> Array:
    return torch.minimum(*_pair(x, y))


def maximum(x: Array | float, y: Array | float) -> Array:
    return torch.maximum(*_pair(x, y))


def power(x: Array | float, y: Array | float) -> Array:
    return torch.pow(*_pair(x, y))


def arctan2(y: Array | float, x: Array | float) -> Array:
    return torch.arctan2(*_pair(y, x))


def logaddexp(x: Array, y: Array) -> Array:
    return torch.logaddexp(*_pair(x, y))


def astype(x: Array, dtype: str) -> Array:
    return asarray(x, dtype)


# --- reductions


def _over(x: Array, axis: Axis) -> Any:
    return tuple(range(x.ndim)) if axis is None else axis


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return torch.sum(x, _over(x, axis), keepdims)


def wide_sum(x: Array) -> Array:
    return torch.sum(x, -1, dtype=_wide(x))


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return torch.mean(x, _over(x, axis), keepdims)


def var(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return torch.var(x, _over(x, axis), correction=0, keepdim=keepdims)


def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return torch.std(x, _over(x, axis), correction=0, keepdim=keepdims)


def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return torch.amax(x, _over(x, axis), keepdims)


def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return torch.amin(x, _over(x, axis), keepdims)


def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return torch.any(x, _over(x, axis), keepdims)


def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    return torch.all(x, _over(x, axis), keepdims)


def prod(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    if axis is None:
        out = torch.prod(x)
        return out.reshape((1,) * x.ndim) if keepdims else out
    return torch.prod(x, axis, keepdims)


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return torch.logsumexp(x, _over(x, axis), keepdims)


def cumsum(x: Array, axis: int) -> Array:
    return torch.cumsum(x, axis, dtype=x.dtype)


def argmax(x: Array, axis: int | None = None) -> Array:
    return torch.argmax(x, axis)


def argmin(x: Array, axis: int | None = None) -> Array:
    return torch.argmin(x, axis)


def sort(x: Array, axis: int = -1) -> Array:
    return torch.sort(x, axis).values


def argsort(x: Array, axis: int = -1) -> Array:
    return torch.argsort(x, stable=True, dim=axis)


def quantile(x: Array, q: float | Array, axis: int | None = None) -> Array:
    return quantile_by_sorting(sys.modules[__name__], asarray(x), q, axis)


# --- shape


def dtype(x: Array) -> str:
    return str(asarray(x).dtype).removeprefix("torch.")


def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    return x.permute(tuple(range(x.ndim))[::-1] if axes is None else tuple(axes))


def reshape(x: Array, shape: Shape) -> Array:
    return torch.reshape(x, _lengths(shape))


def expand_dims(x: Array, axis: int) -> Array:
    return torch.unsqueeze(x, axis)


def squeeze(x: Array, axis: int) -> Array:
    if x.shape[axis] != 1:
        raise ValueError(f"Only an axis of length 1 can go. Received: shape={tuple(x.shape)}.")
    return torch.squeeze(x, axis)


def broadcast_to(x: Array, shape: Shape) -> Array:
    return torch.broadcast_to(asarray(x), _lengths(shape))


def concatenate(arrays: Sequence[Array], axis: int = 0) -> Array:
    _one_device(*arrays)
    return torch.cat(tuple(arrays), axis)


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    _one_device(*arrays)
    return torch.stack(tuple(arrays), axis)


def tile(x: Array, repeats: Sequence[int]) -> Array:
    return torch.tile(x, tuple(repeats))


def repeat(x: Array, repeats: int, axis: int) -> Array:
    return torch.repeat_interleave(x, repeats, axis)


def flip(x: Array, axis: int) -> Array:
    return torch.flip(x, (axis,))


def roll(x: Array, shift: int, axis: int) -> Array:
    return torch.roll(x, shift, axis)


def pad(x: Array, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    flat = [n for pair in reversed(widths) for n in pair]
    return torch.nn.functional.pad(x, flat, value=value)


def tril(x: Array, k: int = 0) -> Array:
    return torch.tril(x, k)


def triu(x: Array, k: int = 0) -> Array:
    return torch.triu(x, k)


def diagonal(x: Array) -> Array:
    return torch.diagonal(x)


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    indices = torch.as_tensor(indices, dtype=torch.int64, device=x.device)
    return x[(slice(None),) * (axis % x.ndim) + (indices,)]


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    return torch.take_along_dim(x, indices, axis)


def ascontiguous(x: Array) -> Array:
    return x.contiguous()


def copy(x: Array) -> Array:
    return x.clone(memory_format=torch.contiguous_format)


# --- matrices


def _one_dtype(*arrays: Array) -> Sequence[Array]:
    """Tensors of the dtype that holds all of them, which PyTorch does not see to in products."""
    _one_device(*arrays)
    kinds = {x.dtype for x in arrays}
    if len(kinds) == 1:
        return arrays
    kind = reduce(torch.promote_types, kinds)
    return [x.to(kind) for x in arrays]


def matmul(x: Array, y: Array) -> Array:
    return torch.matmul(*_one_dtype(x, y))


def einsum(subscripts: str, *operands: Array) -> Array:
    return torch.einsum(subscripts, *_one_dtype(*operands))


def det(a: Array) -> Array:
    return torch.linalg.det(a)


def inv(a: Array) -> Array:
    return torch.linalg.inv(a)


def pinv(a: Array) -> Array:
    return torch.linalg.pinv(a)


def qr(a: Array) -> tuple[Array, Array]:
    q, r = torch.linalg.qr(a)
    return q, r


def solve(a: Array, b: Array) -> Array:
    return torch.linalg.solve(*_one_dtype(a, b))


def lstsq(a: Array, b: Array) -> Array:
    return torch.linalg.lstsq(*_one_dtype(a, b)).solution


def cholesky(a: Array) -> Array:
    return torch.linalg.cholesky(a)


def eigh(a: Array) -> tuple[Array, Array]:
    values, vectors = torch.linalg.eigh(a)
    return values, vectors


def svd(a: Array) -> tuple[Array, Array, Array]:
    u, s, vt = torch.linalg.svd(a, full_matrices=False)
    return u, s, vt


def exact_weight(w: Array) -> ExactWeight:
    exact = _numpy.exact_weight(to_numpy(asarray(w)))
    blocks = tuple(from_numpy(block, like=asarray(w)) for block in exact.blocks)
    return ExactWeight(exact.shape, blocks)


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    x = asarray(x, "float32")
    w = w if isinstance(w, ExactWeight) else exact_weight(w)
    check_fits(tuple(x.shape), w)
    _one_device(x, *w.blocks)
    wide = (torch.clamp(x, -INPUT_LIMIT, INPUT_LIMIT) + GRID - GRID).to(torch.float64)
    total = torch.zeros((*x.shape[:-1], w.shape[-1]), dtype=torch.float64, device=x.device)
    for i, block in enumerate(w.blocks):
        total = total + wide[..., i * BLOCK_TERMS : (i + 1) * BLOCK_TERMS] @ block
    return total.to(torch.float32)


def exact_tanh(x: Array) -> Array:
    return _rounded(torch.tanh, x)


def exact_exp(x: Array) -> Array:
    return _rounded(torch.exp, x)


def _rounded(function: Callable[[Array], Array], x: Array) -> Array:
    x = asarray(x, "float32")
    return function(x.to(_wide(x))).to(torch.float32)


def _wide(x: Array) -> torch.dtype:
    return torch.float32 if x.device.type == "mps" else torch.float64


# --- random


def generator(
    seed: int | None = None, *, device: str | None = None, like: Array | None = None
) -> Any:
    made = torch.Generator(_place(device, like) or "cpu")
    if seed is None:
        made.seed()
    else:
        made.manual_seed(seed)
    return made


def normal(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return torch.randn(
        _lengths(shape), generator=generator, dtype=_dtype(dtype), device=generator.device
    )


def uniform(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    return torch.rand(
        _lengths(shape), generator=generator, dtype=_dtype(dtype), device=generator.device
    )


def bernoulli(generator: Any, probability: Array) -> Array:
    p = asarray(probability)
    return (p > uniform(generator, tuple(p.shape), dtype(p))).to(p.dtype)


def integers(generator: Any, low: int, high: int, shape: Shape) -> Array:
    return torch.randint(low, high, _lengths(shape), generator=generator, device=generator.device)


def exponential(generator: Any, shape: Shape, dtype: str = "float32") -> Array:
    empty = torch.empty(_lengths(shape), dtype=_dtype(dtype), device=generator.device)
    return empty.exponential_(generator=generator)


def gamma(generator: Any, concentration: Array) -> Array:
    return torch._standard_gamma(concentration, generator)  # noqa: SLF001  (no public one is seeded)


def poisson(generator: Any, rate: Array) -> Array:
    return torch.poisson(rate, generator)


def permutation(generator: Any, n: int) -> Array:
    return torch.randperm(n, generator=generator, device=generator.device)


# --- spectrum, gradients


def rfft(x: Array, axis: int = -1) -> Array:
    return torch.fft.rfft(x, dim=axis)


def irfft(x: Array, n: int, axis: int = -1) -> Array:
    return torch.fft.irfft(x, n, dim=axis)


def stop_gradient(x: Array) -> Array:
    return x.detach()


def value_and_grads(
    function: Callable[[list[Array]], tuple[Array, Any]], leaves: list[Array]
) -> tuple[Array, Any, list[Array]]:
    with torch.enable_grad():
        traced = [leaf.detach().requires_grad_() for leaf in leaves]
        value, rest = function(traced)
        if not isinstance(value, torch.Tensor) or not value.requires_grad:
            return value, rest, [torch.zeros_like(leaf) for leaf in leaves]
        found = torch.autograd.grad(value, traced, allow_unused=True)
    grads = [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)]
    return value.detach(), _detached(rest), grads


def _detached(tree: Any) -> Any:
    """A tree without its graph."""
    if isinstance(tree, dict):
        return {name: _detached(item) for name, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([_detached(item) for item in tree])
    return tree.detach() if isinstance(tree, torch.Tensor) else tree
