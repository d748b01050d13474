"""Reductions over axes, and order.

`axis=None` reduces over all elements. A reduction over the last axis of a C-contiguous array
gives each row the same bits whatever the other rows are; other layouts promise no order.
"""

from __future__ import annotations

from .dispatch import BY_TYPE, Array, Axis


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Sum over `axis`, in the dtype of `x`.

    Args:
        x: Array.
        axis: One axis or several; None for all elements.
        keepdims: Whether the axes stay, of length 1.
    """
    return BY_TYPE[type(x)].sum(x, axis, keepdims)


def wide_sum(x: Array) -> Array:
    """Sum over the last axis in float64, so that a difference of such sums keeps its digits.

    Args:
        x: Array `(..., N)`, float32.

    Returns:
        `(...)`, float64; float32 on a device without float64.
    """
    return BY_TYPE[type(x)].wide_sum(x)


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Mean over `axis`.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].mean(x, axis, keepdims)


def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Standard deviation over `axis`, with the divisor of `var`.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].std(x, axis, keepdims)


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """`log(sum(exp(x)))` over `axis` without overflow; minus infinity where all of `x` is that.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].logsumexp(x, axis, keepdims)


def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Largest element over `axis`; NaN where there is one.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].max(x, axis, keepdims)


def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Smallest element over `axis`; NaN where there is one.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].min(x, axis, keepdims)


def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """True where any element over `axis` is true (bool).

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].any(x, axis, keepdims)


def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """True where every element over `axis` is true (bool).

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].all(x, axis, keepdims)


def argmax(x: Array, axis: int | None = None) -> Array:
    """Index of the largest element (int64), the first one among equals."""
    return BY_TYPE[type(x)].argmax(x, axis)
