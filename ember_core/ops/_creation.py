"""Arrays from nothing, from numbers, from another backend, and back to NumPy."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ._select import BY_TYPE, Array, Shape, default_module, load_backend


def _maker(like: Array | None) -> ModuleType:
    return default_module() if like is None else BY_TYPE[type(like)]


def asarray(x: Any, dtype: str | None = None) -> Array:
    """`x` as an array: its own backend's where it is one, else the default backend's.

    Args:
        x: An array, a number or nested lists of numbers.
        dtype: Type of the elements, such as `"float32"`; `None` keeps that of `x`.

    Returns:
        `x` itself where nothing has to change.

    Examples:
        >>> from ember_core import ops
        >>> ops.asarray([[1, 2], [3, 5]], dtype="float32").shape
        (2, 2)
    """
    return BY_TYPE[type(x)].asarray(x, dtype)


def from_numpy(x: Any, *, device: str | None = None, like: Array | None = None) -> Array:
    """A NumPy array as an array of the default backend, of the same dtype.

    Args:
        x: A NumPy array, or what `numpy.asarray` makes one of.
        device: Device of the result; the default one without it.
        like: An array whose backend and device the result has, instead of the default ones.
    """
    return _maker(like).from_numpy(x, device=device, like=like)


def to_numpy(x: Array) -> Any:
    """`x` as a NumPy array on the host, detached from any graph; a view where possible."""
    return BY_TYPE[type(x)].to_numpy(x)


def to(
    x: Array,
    *,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    like: Array | None = None,
) -> Array:
    """`x` on another backend, on another device, with another dtype; itself where it is so already.

    Args:
        x: An array; numbers and lists become one of the default backend.
        backend: Name of a backend; that of `x` without it.
        device: Name of a device; that of `x` without it, of another backend its default one.
        dtype: Type of the elements; that of `x` without it.
        like: An array to whose backend and device `x` goes, instead of both names.

    Raises:
        ValueError: If there is no such backend or device.
        ImportError: If the backend's package is not installed.

    Examples:
        >>> from ember_core import ops
        >>> ops.dtype(ops.to(ops.ones((2, 3)), backend="numpy", dtype="float64"))
        'float64'
    """
    module = BY_TYPE[type(x)]
    x = module.asarray(x, dtype)
    if like is not None:
        other = BY_TYPE[type(like)]
        if other.BACKEND != module.BACKEND:
            return other.from_numpy(module.to_numpy(x), like=like)
        device = other.device(like)
        return x if module.device(x) == device else module.move(x, device)
    if backend is not None and backend != module.BACKEND:
        return load_backend(backend).from_numpy(module.to_numpy(x), device=device)
    return x if device is None else module.move(x, device)


def device(x: Array) -> str:
    """Name of the device `x` is on, such as `"cpu"` or `"cuda:0"`."""
    return str(BY_TYPE[type(x)].device(x))


def zeros(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """Zeros of `shape`.

    Args:
        shape: Lengths of the axes.
        dtype: Type of the elements.
        device: Device; the default one without it.
        like: An array whose backend and device the result has, instead of the default ones.
    """
    return _maker(like).zeros(shape, dtype, device=device, like=like)


def ones(
    shape: Shape,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """Ones of `shape`; arguments as `zeros`."""
    return _maker(like).ones(shape, dtype, device=device, like=like)


def full(
    shape: Shape,
    value: float,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """`value` in every element of `shape`; other arguments as `zeros`."""
    return _maker(like).full(shape, value, dtype, device=device, like=like)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: str = "int64",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """`start, start + step, ...` below `stop`; from 0 where only one bound is given.

    Args:
        start: First number, or the bound where `stop` is not given.
        stop: Bound, not included.
        step: Distance.
        dtype: Of the numbers.
        device: As of `zeros`.
        like: As of `zeros`.
    """
    return _maker(like).arange(start, stop, step, dtype, device=device, like=like)


def linspace(
    start: float,
    stop: float,
    num: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """`num` numbers at equal distances from `start` to `stop`, both included.

    Other arguments as `zeros`.
    """
    return _maker(like).linspace(start, stop, num, dtype, device=device, like=like)


def eye(
    n: int,
    dtype: str = "float32",
    *,
    device: str | None = None,
    like: Array | None = None,
) -> Array:
    """Identity matrix of shape `(n, n)`; other arguments as `zeros`."""
    return _maker(like).eye(n, dtype, device=device, like=like)


def zeros_like(x: Array) -> Array:
    """Zeros of the shape, dtype, backend and device of `x`."""
    return BY_TYPE[type(x)].zeros_like(x)


def ones_like(x: Array) -> Array:
    """Ones of the shape, dtype, backend and device of `x`."""
    return BY_TYPE[type(x)].ones_like(x)
