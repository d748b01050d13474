"""Losses: how far a prediction is from what it should be.

`axis` is what the mean goes over, as in `ops.mean`: `None` gives one number, to train on, and
`axis=-1` one for each row, to score with.
"""

from __future__ import annotations

from ._activation import log_softmax
from ._elementwise import abs, minimum, softplus, square  # noqa: A004
from ._reduction import Axis, mean, sum  # noqa: A004
from ._select import Array
from ._shape import dtype, one_hot


def mean_squared_error(prediction: Array, target: Array, axis: Axis = None) -> Array:
    """Mean of `(prediction - target)^2` over `axis`, the shapes equal."""
    _same_shape(prediction, target)
    return mean(square(prediction - target), axis)


def mean_absolute_error(prediction: Array, target: Array, axis: Axis = None) -> Array:
    """Mean of `|prediction - target|` over `axis`, the shapes equal."""
    _same_shape(prediction, target)
    return mean(abs(prediction - target), axis)


def huber(prediction: Array, target: Array, delta: float = 1.0, axis: Axis = None) -> Array:
    """Mean of half the square of the difference, straight beyond `delta` (Huber, 1964).

    Args:
        prediction: Any shape.
        target: The same shape.
        delta: Difference beyond which the loss is straight.
        axis: Axes of the mean; None for all elements.
    """
    _same_shape(prediction, target)
    size = abs(prediction - target)
    inner = minimum(size, delta)
    return mean(inner * (size - 0.5 * inner), axis)


def log_cosh(prediction: Array, target: Array, axis: Axis = None) -> Array:
    """Mean of `log(cosh(prediction - target))`, square for small differences, straight for large.

    Computed as `d + softplus(-2 d) - log(2)`, which does not overflow.

    Arguments as `huber`.
    """
    _same_shape(prediction, target)
    d = prediction - target
    return mean(softplus(-2.0 * d) + d - 0.6931471805599453, axis)


def binary_cross_entropy(logits: Array, target: Array, axis: Axis = None) -> Array:
    """Mean of `-(t log p + (1 - t) log(1 - p))` with `p = sigmoid(logits)`.

    Args:
        logits: What would go into the sigmoid; so the loss is exact where `p` is nearly 0 or 1.
        target: 0 or 1, or a probability, in the shape of `logits`.
        axis: What the mean goes over.
    """
    _same_shape(logits, target)
    return mean(softplus(logits) - target * logits, axis)


def cross_entropy(
    logits: Array, target: Array, label_smoothing: float = 0.0, axis: Axis = None
) -> Array:
    """Mean of `-log(softmax(logits))` at the classes that are right.

    Args:
        logits: Shape `(..., N)`.
        target: Labels (whole numbers) of shape `(...)`, or probabilities of shape `(..., N)`.
        label_smoothing: Share of the target spread evenly over all classes.
        axis: What the mean goes over: `None` for all rows, -1 for the loss of each.
    """
    classes = logits.shape[-1]
    if "int" in dtype(target):
        target = one_hot(target, classes, dtype(logits))
    _same_shape(logits, target)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    return mean(-sum(target * log_softmax(logits), -1, keepdims=True), axis)


def _same_shape(prediction: Array, target: Array) -> None:
    """Refuse shapes that would broadcast to a loss of something else."""
    if tuple(prediction.shape) != tuple(target.shape):
        raise ValueError(
            "The prediction does not fit its target. Expected equal shapes. Received: "
            f"prediction.shape={tuple(prediction.shape)}, target.shape={tuple(target.shape)}."
        )
