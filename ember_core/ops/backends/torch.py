"""The operations on PyTorch's tensors; the public functions document them.

A backend is one file, whatever its length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import reduce
from typing import Any

import numpy as np
import torch

from ember_core.ops.dispatch import Array, Axis, Shape, unknown_device, wanted_device
from ember_core.ops.elementary import BOUNDS
from ember_core.ops.exact import BLOCK_TERMS, GRID, INPUT_LIMIT, ExactWeight, check_fits

from . import numpy as host

BACKEND = "torch"


# --- devices


def check_device(name: str) -> str:
    available = ["cpu"]
    if torch.cuda.is_available():
        available += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        available.append("mps")
    if name not in available:
        raise unknown_device(BACKEND, name, available)
    return name


def on_device(name: str) -> Any:
    return nullcontext()


def resolve_device(device: str | None, like: Array | None) -> Any:
    if device is None and like is not None:
        return like.device
    requested = device or wanted_device(BACKEND)
    return None if requested is None else check_device(requested)


def device(x: Array) -> str:
    return str(x.device)


def move(x: Array, device: str) -> Array:
    return x.to(check_device(device))


# --- creation


def _dtype(name: str | None) -> Any:
    dtype = None if name is None else getattr(torch, name, None)
    if name is not None and not isinstance(dtype, torch.dtype):
        raise TypeError(f"PyTorch has no such dtype. Received: dtype={name!r}.")
    return dtype


def asarray(x: Any, dtype: str | None = None) -> Array:
    if isinstance(x, torch.Tensor):
        return x if dtype is None else x.to(_dtype(dtype))
    return torch.as_tensor(x, dtype=_dtype(dtype), device=resolve_device(None, None))


def from_numpy(x: Any, device: Any) -> Array:
    # Memory is shared with NumPy where the tensor stays on the CPU.
    x = np.require(x, requirements=["C", "W"])  # PyTorch takes no read-only or reversed memory
    tensor = torch.as_tensor(x)
    return tensor if device is None else tensor.to(device)


def to_numpy(x: Array) -> Any:
    return x.detach().cpu().numpy()


def zeros(shape: Shape, dtype: str, device: Any) -> Array:
    return torch.zeros(shape, dtype=_dtype(dtype), device=device)


def ones(shape: Shape, dtype: str, device: Any) -> Array:
    return torch.ones(shape, dtype=_dtype(dtype), device=device)


def full(shape: Shape, value: float, dtype: str, device: Any) -> Array:
    return torch.full(_lengths(shape), value, dtype=_dtype(dtype), device=device)


def arange(start: float, stop: float | None, step: float, dtype: str, device: Any) -> Array:
    first, last = (0, start) if stop is None else (start, stop)
    return torch.arange(first, last, step, dtype=_dtype(dtype), device=device)


def eye(n: int, dtype: str, device: Any) -> Array:
    return torch.eye(n, dtype=_dtype(dtype), device=device)


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
sin, cos, tanh = map(_unary, (torch.sin, torch.cos, torch.tanh))
sigmoid, square = map(_unary, (torch.sigmoid, torch.square))
abs, floor = map(_unary, (torch.abs, torch.floor))  # noqa: A001
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
    """Return both as tensors on one device; a plain number takes the dtype of the other."""
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


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    return torch.logsumexp(x, _over(x, axis), keepdims)


def argmax(x: Array, axis: int | None = None) -> Array:
    return torch.argmax(x, axis)


# --- shape


def dtype(x: Array) -> str:
    return str(asarray(x).dtype).removeprefix("torch.")


def transpose(x: Array, axes: Sequence[int] | None = None) -> Array:
    return x.permute(tuple(range(x.ndim))[::-1] if axes is None else tuple(axes))


def reshape(x: Array, shape: Shape) -> Array:
    return torch.reshape(x, _lengths(shape))


def expand_dims(x: Array, axis: int) -> Array:
    return torch.unsqueeze(x, axis)


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


def take(x: Array, indices: Array, axis: int = 0) -> Array:
    indices = torch.as_tensor(indices, dtype=torch.int64, device=x.device)
    return x[(slice(None),) * (axis % x.ndim) + (indices,)]


def ascontiguous(x: Array) -> Array:
    return x.contiguous()


def copy(x: Array) -> Array:
    return x.clone(memory_format=torch.contiguous_format)


# --- matrices


def _one_dtype(*arrays: Array) -> Sequence[Array]:
    """Convert tensors to their common dtype, which PyTorch's products do not."""
    _one_device(*arrays)
    kinds = {x.dtype for x in arrays}
    if len(kinds) == 1:
        return arrays
    kind = reduce(torch.promote_types, kinds)
    return [x.to(kind) for x in arrays]


def matmul(x: Array, y: Array) -> Array:
    return torch.matmul(*_one_dtype(x, y))


def solve(a: Array, b: Array) -> Array:
    return torch.linalg.solve(*_one_dtype(a, b))


def cholesky(a: Array) -> Array:
    return torch.linalg.cholesky(a)


def eigh(a: Array) -> tuple[Array, Array]:
    values, vectors = torch.linalg.eigh(a)
    return values, vectors


def svd(a: Array) -> tuple[Array, Array, Array]:
    u, s, vt = torch.linalg.svd(a, full_matrices=False)
    return u, s, vt


def exact_weight(w: Array) -> ExactWeight:
    exact = host.exact_weight(to_numpy(asarray(w)))
    blocks = tuple(from_numpy(block, asarray(w).device) for block in exact.blocks)
    return ExactWeight(exact.shape, blocks)


def exact_matmul(x: Array, w: Array | ExactWeight) -> Array:
    x = asarray(x, "float32")
    w = w if isinstance(w, ExactWeight) else exact_weight(w)
    check_fits(tuple(x.shape), w)
    _one_device(x, *w.blocks)
    wide = (torch.clamp(x, -INPUT_LIMIT, INPUT_LIMIT) + GRID - GRID).to(torch.float64)
    # Blocks of 128 terms are exact in float64; their order is fixed, so the bits are too.
    total = torch.zeros((*x.shape[:-1], w.shape[-1]), dtype=torch.float64, device=x.device)
    for i, block in enumerate(w.blocks):
        total = total + wide[..., i * BLOCK_TERMS : (i + 1) * BLOCK_TERMS] @ block
    return total.to(torch.float32)


def exact_tanh(x: Array) -> Array:
    return _rounded(torch.tanh, x)


def exact_exp(x: Array) -> Array:
    return _rounded(torch.exp, x)


def exact_log(x: Array) -> Array:
    x = asarray(x, "float32")
    if x.device.type != "cpu":  # which numbers are close would have to come to the host too
        return _on_host(host.exact_log, x)
    wide = torch.log(x.to(torch.float64))
    low, high = ((wide * bound).to(torch.float32) for bound in BOUNDS)
    if not torch.equal(low, high):
        is_close = low != high
        low[is_close] = _on_host(host.exact_log, x[is_close])
    return low


def exact_sin(x: Array) -> Array:
    return _on_host(host.exact_sin, x)


def exact_cos(x: Array) -> Array:
    return _on_host(host.exact_cos, x)


def wide_exp(x: Array) -> Array:
    return _on_host(host.wide_exp, x)


def wide_log(x: Array) -> Array:
    return _on_host(host.wide_log, x)


def _on_host(function: Callable[[Any], Any], x: Array) -> Array:
    return from_numpy(function(to_numpy(x)), x.device)


def _rounded(function: Callable[[Array], Array], x: Array) -> Array:
    x = asarray(x, "float32")
    return function(x.to(_wide(x))).to(torch.float32)


def _wide(x: Array) -> torch.dtype:
    return torch.float32 if x.device.type == "mps" else torch.float64


# --- random


def generator(seed: int | None, device: Any) -> Any:
    generator = torch.Generator(device or "cpu")
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


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
        # Copies of the leaves, so that the caller's tensors get no graph.
        traced = [leaf.detach().requires_grad_() for leaf in leaves]
        value, extras = function(traced)
        if not isinstance(value, torch.Tensor) or not value.requires_grad:
            return value, extras, [torch.zeros_like(leaf) for leaf in leaves]
        leaf_grads = torch.autograd.grad(value, traced, allow_unused=True)
    grads = [
        torch.zeros_like(x) if g is None else g for g, x in zip(leaf_grads, leaves, strict=True)
    ]
    return value.detach(), _detached(extras), grads


def _detached(tree: Any) -> Any:
    """Detach the tensors of a tree from their graph."""
    if isinstance(tree, dict):
        return {name: _detached(item) for name, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([_detached(item) for item in tree])
    return tree.detach() if isinstance(tree, torch.Tensor) else tree
