"""Reductions over axes, and order.

`axis=None` reduces over all elements. A reduction over the last axis of a C-contiguous array
gives each row the same bits whatever the other rows are; other layouts promise no order.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ._select import BY_TYPE, Array

Axis = int | tuple[int, ...] | None


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


def var(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Variance over `axis`, divided by the number of elements.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].var(x, axis, keepdims)


def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Standard deviation over `axis`, with the divisor of `var`.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].std(x, axis, keepdims)


def prod(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Product over one axis, or of all elements.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].prod(x, axis, keepdims)


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """`log(sum(exp(x)))` over `axis` without overflow; minus infinity where all of `x` is that.

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].logsumexp(x, axis, keepdims)


def median(x: Array, axis: int | None = None) -> Array:
    """Middle element over `axis`, or the mean of the two in the middle; `x` without NaN."""
    return BY_TYPE[type(x)].quantile(x, 0.5, axis)


def cov(x: Array) -> Array:
    """Covariance of the columns of `x` `(B, F)`, divided by `B - 1`, shape `(F, F)`."""
    module = BY_TYPE[type(x)]
    centred = x - module.mean(x, 0, True)
    return module.matmul(module.transpose(centred), centred) / (x.shape[0] - 1)


def corrcoef(x: Array) -> Array:
    """Pearson correlation of the columns of `x` `(B, F)`, shape `(F, F)`."""
    module = BY_TYPE[type(x)]
    covariance = cov(x)
    size = module.sqrt(module.diagonal(covariance))
    return covariance / (size[:, None] * size[None, :])


def count_nonzero(x: Array, axis: Axis = None) -> Array:
    """How many elements over `axis` are not 0 (int64)."""
    module = BY_TYPE[type(x)]
    return module.sum(module.astype(x != 0, "int64"), axis)


def array_equal(x: Array, y: Array) -> bool:
    """Whether shapes and all elements are equal."""
    return tuple(x.shape) == tuple(y.shape) and bool((x == y).all())


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
    """Whether any element over `axis` is true (bool).

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].any(x, axis, keepdims)


def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:  # noqa: A001
    """Whether every element over `axis` is true (bool).

    Arguments as `sum`.
    """
    return BY_TYPE[type(x)].all(x, axis, keepdims)


def cumsum(x: Array, axis: int) -> Array:
    """Running sum along `axis`, in the shape of `x`."""
    return BY_TYPE[type(x)].cumsum(x, axis)


def argmax(x: Array, axis: int | None = None) -> Array:
    """Index of the largest element (int64), the first one among equals."""
    return BY_TYPE[type(x)].argmax(x, axis)


def argmin(x: Array, axis: int | None = None) -> Array:
    """Index of the smallest element (int64), the first one among equals."""
    return BY_TYPE[type(x)].argmin(x, axis)


def sort(x: Array, axis: int = -1) -> Array:
    """`x` in rising order along `axis`."""
    return BY_TYPE[type(x)].sort(x, axis)


def topk(x: Array, k: int, axis: int = -1) -> tuple[Array, Array]:
    """The `k` largest elements along `axis`, falling, and their indices (int64).

    Args:
        x: Array.
        k: How many, at most the length of `axis`.
        axis: The axis they are sought along.
    """
    module = BY_TYPE[type(x)]
    order = module.argsort(-x, axis)
    first = module.take(order, module.arange(k, like=x), axis)
    return module.take_along_axis(x, first, axis), first


def argsort(x: Array, axis: int = -1) -> Array:
    """Indices that sort `x` along `axis`, rising (int64); equal elements keep their order."""
    return BY_TYPE[type(x)].argsort(x, axis)


def quantile(x: Array, q: float | Array, axis: int | None = None) -> Array:
    """Quantile of the elements over `axis`, linear between neighbours.

    Args:
        x: Array without NaN.
        q: Quantile or quantiles in [0, 1]; the axis of several comes first in the result.
        axis: Axis to reduce; `None` takes all elements.

    Examples:
        >>> from ember_core import ops
        >>> float(ops.quantile(ops.asarray([1.0, 2.0, 4.0]), 0.75))
        3.0
    """
    return BY_TYPE[type(x)].quantile(x, q, axis)


def quantile_by_sorting(module: ModuleType, x: Array, q: float | Array, axis: int | None) -> Array:
    """`quantile` for a backend that has none without limits, from its `sort` and `take`."""
    if axis is None:
        x, axis = module.reshape(x, (-1,)), 0
    x = module.sort(x, axis)
    last = x.shape[axis] - 1
    several = isinstance(q, (list, tuple)) or len(getattr(q, "shape", ())) > 0
    shares: Any = q if several else [q]
    found = []
    for share in shares:
        at = float(share) * last
        low = int(at)
        before = (slice(None),) * (axis % len(x.shape))
        a, b = x[(*before, low)], x[(*before, low + 1 if low < last else last)]
        found.append(a + (b - a) * (at - low))
    return module.stack(found, 0) if several else found[0]
