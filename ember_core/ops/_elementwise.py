"""Functions of each element; shapes broadcast as in NumPy, float32 stays float32."""

from __future__ import annotations

from .dispatch import BY_TYPE, BY_TYPES, Array


def exp(x: Array) -> Array:
    """`e ** x`."""
    return BY_TYPE[type(x)].exp(x)


def expm1(x: Array) -> Array:
    """`e ** x - 1`, exact for small `x`."""
    return BY_TYPE[type(x)].expm1(x)


def log(x: Array) -> Array:
    """Natural logarithm."""
    return BY_TYPE[type(x)].log(x)


def log1p(x: Array) -> Array:
    """`log(1 + x)`, exact for small `x`."""
    return BY_TYPE[type(x)].log1p(x)


def sin(x: Array) -> Array:
    """Sine of `x` in radians."""
    return BY_TYPE[type(x)].sin(x)


def cos(x: Array) -> Array:
    """Cosine of `x` in radians."""
    return BY_TYPE[type(x)].cos(x)


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return BY_TYPE[type(x)].tanh(x)


def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))` without overflow, and exact in both tails.

    Examples:
        >>> from ember_core import ops
        >>> ops.sigmoid(ops.asarray([-1000.0, 0.0, 1000.0])).tolist()[1:]
        [0.5, 1.0]
    """
    return BY_TYPE[type(x)].sigmoid(x)


def softplus(x: Array) -> Array:
    """`log(1 + exp(x))` without overflow.

    Examples:
        >>> from ember_core import ops
        >>> ops.softplus(ops.asarray([-1000.0, 1000.0])).tolist()
        [0.0, 1000.0]
    """
    return BY_TYPE[type(x)].softplus(x)


def relu(x: Array) -> Array:
    """`x` where positive, else 0."""
    return BY_TYPE[type(x)].relu(x)


def sqrt(x: Array) -> Array:
    """Square root."""
    return BY_TYPE[type(x)].sqrt(x)


def square(x: Array) -> Array:
    """`x * x`."""
    return BY_TYPE[type(x)].square(x)


def abs(x: Array) -> Array:  # noqa: A001
    """Absolute value."""
    return BY_TYPE[type(x)].abs(x)


def floor(x: Array) -> Array:
    """Largest whole number not above `x`, in the dtype of `x`."""
    return BY_TYPE[type(x)].floor(x)


def round(x: Array) -> Array:  # noqa: A001
    """Nearest whole number, halves to the even one, in the dtype of `x`."""
    return BY_TYPE[type(x)].round(x)


def clip(x: Array, low: float | Array, high: float | Array) -> Array:
    """`x` held between `low` and `high`; NaN stays NaN."""
    return BY_TYPES[type(x), type(low), type(high)].clip(x, low, high)


def where(condition: Array, x: Array | float, y: Array | float) -> Array:
    """`x` where `condition` holds, else `y`."""
    return BY_TYPES[type(condition), type(x), type(y)].where(condition, x, y)


def minimum(x: Array | float, y: Array | float) -> Array:
    """The smaller of two; NaN where either is NaN."""
    return BY_TYPES[type(x), type(y)].minimum(x, y)


def maximum(x: Array | float, y: Array | float) -> Array:
    """The larger of two; NaN where either is NaN."""
    return BY_TYPES[type(x), type(y)].maximum(x, y)


def isfinite(x: Array) -> Array:
    """Test each element for being neither NaN nor infinite (bool)."""
    return BY_TYPE[type(x)].isfinite(x)


def isnan(x: Array) -> Array:
    """Test each element for NaN (bool)."""
    return BY_TYPE[type(x)].isnan(x)


def astype(x: Array, dtype: str) -> Array:
    """`x` with elements of `dtype`, such as `"float32"`; `x` itself where it has it already."""
    return BY_TYPE[type(x)].astype(x, dtype)
