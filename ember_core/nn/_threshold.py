"""Thresholds of a motor neuron: fixed, learned from its input, or adapted to its own output."""

from __future__ import annotations

import math
from typing import Any

from ember_core import ops
from ember_core.ops import Array

from ._layers import Linear
from ._module import Module


class Threshold(Module):
    """Threshold that a motor neuron's output has to exceed. Abstract: a subclass has `forward`.

    A threshold's `forward(x, output, state)` takes what the neuron sees `(B, F)`, its output
    `(B, 1)` and the threshold's state `(B, state_size)`, and returns the threshold for this row
    `(B, 1)` and the state after it. A fresh state is zeros.
    """

    @property
    def state_size(self) -> int:
        """Columns of the state."""
        return 0


class FixedThreshold(Threshold):
    """The same threshold for every row.

    Args:
        threshold: The threshold, in (0, 1).
    """

    threshold: float

    def __init__(self, threshold: float = 0.5) -> None:
        _check_threshold(threshold)
        self.threshold = threshold

    def forward(self, x: Array, output: Array, state: Array) -> tuple[Array, Array]:
        """The threshold `(B, 1)` and the state as it is; arguments as `Threshold`."""
        return 0.0 * output + self.threshold, state


class LearnedThreshold(Threshold):
    """A threshold that a layer reads from what the motor neuron sees: `sigmoid(x W + b)`.

    Args:
        input_size: Columns the motor neuron sees, F.
        threshold: Threshold of an input of zeros at first, in (0, 1).
        generator: Generator of the initial weights; seed 0 without one.
    """

    input_size: int
    threshold: float
    projection: Linear

    def __init__(self, input_size: int, threshold: float = 0.5, *, generator: Any = None) -> None:
        _check_threshold(threshold)
        self.input_size = input_size
        self.threshold = threshold
        self.projection = Linear(input_size, 1, generator=generator)
        logit = math.log(threshold / (1.0 - threshold))
        self.projection.assign({"bias_vector": ops.full((1,), logit)})

    def forward(self, x: Array, output: Array, state: Array) -> tuple[Array, Array]:
        """The threshold `(B, 1)` and the state as it is; arguments as `Threshold`."""
        return ops.sigmoid(self.projection(x)), state


class AdaptiveThreshold(Threshold):
    """A threshold that moves toward the mean plus one deviation of the neuron's last outputs.

    Each row of a batch has statistics of its own. A row is held against the threshold that the
    rows before it have made; then it counts itself.

    Args:
        threshold: The first threshold.
        adaptation_rate: Share of the way moved at each row, in [0, 1].
        history_length: Outputs the statistics are of.

    Examples:
        >>> from ember_core import nn, ops
        >>> adaptive, state = nn.AdaptiveThreshold(0.5, adaptation_rate=0.5), ops.zeros((1, 103))
        >>> for output in (0.9, 0.9, 0.9):
        ...     threshold, state = adaptive(None, ops.full((1, 1), output), state)
        ...     print(round(float(threshold[0, 0]), 3))
        0.5
        0.7
        0.8
    """

    threshold: float
    adaptation_rate: float
    history_length: int

    def __init__(
        self, threshold: float = 0.5, adaptation_rate: float = 0.01, history_length: int = 100
    ) -> None:
        _check_threshold(threshold)
        if not 0.0 <= adaptation_rate <= 1.0 or history_length < 1:
            raise ValueError(
                "The threshold cannot adapt so. Expected 0 <= adaptation_rate <= 1 and "
                f"history_length >= 1. Received: adaptation_rate={adaptation_rate}, "
                f"history_length={history_length}."
            )
        self.threshold = threshold
        self.adaptation_rate = adaptation_rate
        self.history_length = history_length

    @property
    def state_size(self) -> int:
        """Columns of the state: `[last outputs, place of the next, their number, moved by]`."""
        return self.history_length + 3

    def forward(self, x: Array, output: Array, state: Array) -> tuple[Array, Array]:
        """The threshold before this row and the state after it; arguments as `Threshold`."""
        output = ops.stop_gradient(output)  # a statistic: it is not trained
        n = self.history_length
        slot, count, offset = state[:, n : n + 1], state[:, n + 1 : n + 2], state[:, n + 2 :]
        threshold = self.threshold + offset
        slots = ops.reshape(ops.arange(n, dtype="float32", like=state), (1, n))
        history = ops.where(ops.abs(slots - slot) < 0.5, output, state[:, :n])
        count = ops.minimum(count + 1.0, float(n))
        slot = ops.where(slot + 1.5 > n, 0.0 * slot, slot + 1.0)
        mean = ops.sum(history, axis=1, keepdims=True) / count
        filled = ops.astype(slots < count, ops.dtype(history))
        spread = ops.sum(filled * ops.square(history - mean), axis=1, keepdims=True) / count
        offset = offset + self.adaptation_rate * (mean + ops.sqrt(spread) - threshold)
        return threshold, ops.concatenate([history, slot, count, offset], axis=1)


def _check_threshold(threshold: float) -> None:
    if not 0.0 < threshold < 1.0:
        raise ValueError(
            "The threshold is out of range. Expected 0 < threshold < 1. "
            f"Received: threshold={threshold}."
        )
