"""Readings of sequence models: forecast or reconstruction of each step, and its score."""

from __future__ import annotations

from typing import Any, NamedTuple

from ember_core import ops
from ember_core.nn import Cell, Module, Recurrent
from ember_core.ops import Array

TINY = 1e-12  # added to an error before its logarithm


class Reading(NamedTuple):
    """Output of a sequence model for each step of its sequences.

    Attributes:
        output: Forecast of the step after, or reconstruction of the step, `(B, T, O)`.
        error: Mean squared error of the step, `(B, T)`; 0 where there was nothing to compare.
        score: How unusual that error is for the time that had passed, in usual deviations of its
            logarithm, `(B, T)`: high is anomalous, 0 where there was nothing to compare.
    """

    output: Array
    error: Array
    score: Array


class ReadingModel(Module):
    """Base of forecasters and autoencoders: a cell that reads out, run over sequences.

    The cell takes `[input, targets]`, gives `[output, error, score]`, and has
    a field `scale`.
    """

    n_targets: int
    sequence: Recurrent

    def __init__(self, cell: Cell, n_targets: int) -> None:
        self.n_targets = n_targets
        self.sequence = Recurrent(cell)

    @property
    def state_size(self) -> int:
        """Columns of the state."""
        return self.sequence.cell.state_size

    @property
    def scale(self) -> ElapsedScale:
        """Usual error by elapsed time."""
        scale: ElapsedScale = self.sequence.cell.scale  # type: ignore[attr-defined]
        return scale

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values: those of the cell of the same names."""
        return self.sequence.cell.get_config()

    def forward(
        self,
        x: Array,
        state: Array | None = None,
        elapsed: Array | float = 1.0,
        mask: Array | None = None,
        target: Array | None = None,
    ) -> tuple[Reading, Array]:
        """Go through sequences; one row at a time where T is 1 and the state is handed along.

        Args:
            x: Input, `(B, T, F)`.
            state: State before them, `(B, state_size)`; zeros where not given.
            elapsed: Time since the step before, a number or `(B, T)`.
            mask: `(B, T)`, true where a step is there; see `nn.SequenceLayer`.
            target: Rows to forecast or to say again, `(B, T, O)`; `x` where not given.

        Returns:
            Per step what the model says, its error and its score (see `Reading`), and the state
            after the sequences.

        Raises:
            ValueError: If a shape does not fit.
        """
        shape, n = ops.shape(x), self.n_targets
        expected = (*shape[:2], n)
        if len(shape) != 3 or ops.shape(x if target is None else target) != expected:
            raise ValueError(
                f"The sequences do not fit the model. Expected x of shape (B, T, F) and targets "
                f"of shape (B, T, {n}); x itself where there are none. Received: x.shape={shape}, "
                f"target.shape={None if target is None else ops.shape(target)}."
            )
        pairs = ops.concatenate([x, x if target is None else target], axis=2)
        output, state = self.sequence(pairs, state, elapsed, mask)
        return Reading(output[:, :, :n], output[:, :, n], output[:, :, n + 1]), state


class ElapsedScale(Module):
    """Errors in units of the usual error after that much time.

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
