"""Arrays from nothing, from numbers, and back to NumPy."""

from __future__ import annotations

from typing import Any

from ._select import BY_TYPE, Array, Shape, default_module


def asarray(x: Any, dtype: str | None = None) -> Array:
    """`x` as an array: its own backend's where it is one, else the default backend's.

    Args:
        x: An array, a number or nested lists of numbers.
        dtype: Type of the elements, such as `"float32"`; `None` keeps that of `x`.

    Returns:
        `x` itself where nothing has to change.

    Example:
        >>> from ember_core import ops
        >>> ops.asarray([[1, 2], [3, 5]], dtype="float32").shape
        (2, 2)
    """
    return BY_TYPE[type(x)].asarray(x, dtype)


def from_numpy(x: Any) -> Array:
    """A NumPy array as an array of the default backend, of the same dtype where it has it."""
    return default_module().from_numpy(x)


def to_numpy(x: Array) -> Any:
    """`x` as a NumPy array on the host, detached from any graph; a view where possible."""
    return BY_TYPE[type(x)].to_numpy(x)


def zeros(shape: Shape, dtype: str = "float32") -> Array:
    """Zeros of `shape`, of the default backend."""
    return default_module().zeros(shape, dtype)


def ones(shape: Shape, dtype: str = "float32") -> Array:
    """Ones of `shape`, of the default backend."""
    return default_module().ones(shape, dtype)


def full(shape: Shape, value: float, dtype: str = "float32") -> Array:
    """`value` in every element of `shape`, of the default backend."""
    return default_module().full(shape, value, dtype)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: str = "int64") -> Array:
    """`start, start + step, ...` below `stop`; from 0 where only one bound is given."""
    return default_module().arange(start, stop, step, dtype)


def eye(n: int, dtype: str = "float32") -> Array:
    """Identity matrix of shape `(n, n)`, of the default backend."""
    return default_module().eye(n, dtype)


def zeros_like(x: Array) -> Array:
    """Zeros of the shape, dtype and backend of `x`."""
    return BY_TYPE[type(x)].zeros_like(x)


def ones_like(x: Array) -> Array:
    """Ones of the shape, dtype and backend of `x`."""
    return BY_TYPE[type(x)].ones_like(x)
