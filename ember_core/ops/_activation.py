"""Activations: functions of each element, and of each row, of what a layer gives."""

from __future__ import annotations

from ._elementwise import exp, expm1, maximum, minimum, sigmoid, tanh, where
from ._gradient import stop_gradient
from ._reduction import logsumexp, max  # noqa: A004
from .dispatch import Array

_GELU = (2.0 / 3.141592653589793) ** 0.5


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """`x` where positive, else `slope * x`."""
    return where(x > 0, x, slope * x)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """`x` where positive, else `alpha (exp(x) - 1)` (Clevert et al., 2016)."""
    return where(x > 0, x, alpha * expm1(minimum(x, 0.0)))


def silu(x: Array) -> Array:
    """`x sigmoid(x)`, also known as swish."""
    return x * sigmoid(x)


def gelu(x: Array) -> Array:
    """`x` times the normal distribution's share below it, in the tanh form.

    `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, after Hendrycks and Gimpel (2016).
    """
    return 0.5 * x * (1.0 + tanh(_GELU * (x + 0.044715 * x * x * x)))


def hard_sigmoid(x: Array) -> Array:
    """`x / 6 + 1 / 2` held between 0 and 1."""
    return minimum(maximum(x / 6.0 + 0.5, 0.0), 1.0)


def softmax(x: Array, axis: int = -1) -> Array:
    """`exp(x)` over its sum along `axis`: probabilities that sum to 1.

    Examples:
        >>> from ember_core import ops
        >>> ops.softmax(ops.asarray([1000.0, 1000.0])).tolist()
        [0.5, 0.5]
    """
    return exp(log_softmax(x, axis))


def log_softmax(x: Array, axis: int = -1) -> Array:
    """Logarithm of `softmax`, exact where that is nearly 0."""
    x = x - stop_gradient(max(x, axis, keepdims=True))  # or large inputs would cost digits
    return x - logsumexp(x, axis, keepdims=True)
