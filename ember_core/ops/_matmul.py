"""The matrix product by the backend's own routine."""

from __future__ import annotations

from .dispatch import BY_TYPES, Array


def matmul(x: Array, y: Array) -> Array:
    """Matrix product by the backend's own routine.

    Its bits may depend on the other rows of the batch: inference uses `exact_matmul`.

    Args:
        x: Array of shape `(..., B, V)`.
        y: Array of shape `(..., V, N)`.

    Returns:
        Array of shape `(..., B, N)`.
    """
    return BY_TYPES[type(x), type(y)].matmul(x, y)
