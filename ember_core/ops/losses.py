"""Losses: distances of predictions from their targets.

`axis` names the axes of the mean, as in `ops.mean`: `None` gives one number, to train on, and
`axis=-1` one for each row, to score with.
"""

from __future__ import annotations

from ._activation import log_softmax
from ._creation import arange, asarray
from ._elementwise import astype, square
from ._reduction import mean, sum  # noqa: A004
from ._shape import dtype
from .dispatch import Array, Axis


def mean_squared_error(prediction: Array, target: Array, axis: Axis = None) -> Array:
    """Mean of `(prediction - target)^2` over `axis`, the shapes equal."""
    _same_shape(prediction, target)
    return mean(square(prediction - target), axis)


def cross_entropy(
    logits: Array, target: Array, label_smoothing: float = 0.0, axis: Axis = None
) -> Array:
    """Mean of `-log(softmax(logits))` at the classes that are right.

    Args:
        logits: Shape `(..., N)`.
        target: Labels (whole numbers) of shape `(...)`, or probabilities of shape `(..., N)`.
        label_smoothing: Share of the target spread evenly over all classes.
        axis: Axes of the mean: `None` for all rows, -1 for the loss of each.
    """
    classes = logits.shape[-1]
    if "int" in dtype(target):
        labels = asarray(target, "int64")
        hits = labels[..., None] == arange(classes, like=labels)
        target = astype(hits, dtype(logits))
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
