"""What a sequence model says of each step, and how unusual an error is for the time it took."""

from __future__ import annotations

from typing import NamedTuple

from ember_core import ops
from ember_core.nn import Module
from ember_core.ops import Array

TINY = 1e-12  # added to an error before its logarithm


class Reading(NamedTuple):
    """What a sequence model says of each step of its sequences.

    Attributes:
        output: Forecast of the step after, or reconstruction of the step, `(B, T, O)`.
        error: Mean squared error of the step, `(B, T)`; 0 where there was nothing to compare.
        score: How unusual that error is for the time that had passed, in usual deviations of its
            logarithm, `(B, T)`: high is anomalous, 0 where there was nothing to compare.
    """

    output: Array
    error: Array
    score: Array


class ElapsedScale(Module):
    """An error in units of what is usual after that much time.

    Each column counts in its own usual error. After a gap a larger error is no anomaly: the
    logarithm of the mean square is held against its usual value at that elapsed time,
    `level + growth log(1 + elapsed)`, in units of its usual `spread`.

    Args:
        n_targets: Columns O.

    Attributes:
        deviation: Buffer `(O,)`: usual error of each column, ones before calibration.
        usual: Buffer `(3,)`: level, growth and spread; 0, 0 and 1 before calibration.
    """

    n_targets: int
    deviation: Array
    usual: Array

    def __init__(self, n_targets: int) -> None:
        self.n_targets = n_targets
        self.register_buffer("deviation", ops.ones((n_targets,)))
        self.register_buffer("usual", ops.asarray([0.0, 0.0, 1.0], dtype="float32"))

    def forward(self, error: Array, elapsed: Array) -> Array:
        """Score of each row, `(B, 1)`.

        Args:
            error: Errors of a row's columns, `(B, O)`.
            elapsed: Time since the step before, `(B, 1)`.
        """
        error = ops.mean(ops.square(error / self.deviation), axis=1, keepdims=True)
        level, growth, spread = self.usual[0], self.usual[1], self.usual[2]
        return (ops.log(error + TINY) - level - growth * ops.log1p(elapsed)) / spread
