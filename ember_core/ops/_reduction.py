"""Reductions over axes, and order.

`axis=None` reduces over all elements. A reduction over the last axis of a C-contiguous array
gives each row the same bits whatever the other rows are; other layouts promise no order.
"""

from __future__ import annotations

from ._select import BY_TYPE, Array

Axis = int | tuple[int, ...] | None


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Sum over `axis`, in the dtype of `x`."""
    return BY_TYPE[type(x)].sum(x, axis, keepdims)


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Mean over `axis`."""
    return BY_TYPE[type(x)].mean(x, axis, keepdims)


def var(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Variance over `axis`, divided by the number of elements."""
    return BY_TYPE[type(x)].var(x, axis, keepdims)


def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Standard deviation over `axis`, with the divisor of `var`."""
    return BY_TYPE[type(x)].std(x, axis, keepdims)


def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Largest element over `axis`; NaN where there is one."""
    return BY_TYPE[type(x)].max(x, axis, keepdims)


def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Smallest element over `axis`; NaN where there is one."""
    return BY_TYPE[type(x)].min(x, axis, keepdims)


def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Whether any element over `axis` is true (bool)."""
    return BY_TYPE[type(x)].any(x, axis, keepdims)


def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Whether every element over `axis` is true (bool)."""
    return BY_TYPE[type(x)].all(x, axis, keepdims)


def cumsum(x: Array, axis: int) -> Array:
    """Running sum along `axis`, in the shape of `x`."""
    return BY_TYPE[type(x)].cumsum(x, axis)


def argmax(x: Array, axis: int | None = None) -> Array:
    """Index of the largest element (int64), the first one among equals."""
    return BY_TYPE[type(x)].argmax(x, axis)


def argsort(x: Array, axis: int = -1) -> Array:
    """Indices that sort `x` along `axis`, rising (int64); equal elements keep their order."""
    return BY_TYPE[type(x)].argsort(x, axis)


def quantile(x: Array, q: float | Array, axis: int | None = None) -> Array:
    """Quantile of the elements over `axis`, linear between neighbours.

    Args:
        x: Array without NaN.
        q: Quantile or quantiles in [0, 1]; the axis of several comes first in the result.
        axis: Axis to reduce; `None` takes all elements.

    Example:
        >>> from ember_core import ops
        >>> float(ops.quantile(ops.asarray([1.0, 2.0, 4.0]), 0.75))
        3.0
    """
    return BY_TYPE[type(x)].quantile(x, q, axis)
