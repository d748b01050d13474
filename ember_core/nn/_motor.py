"""The motor neuron of a network: one output between 0 and 1, and a trigger where it is high."""

from __future__ import annotations

from typing import Any, NamedTuple

from ember_core import ops
from ember_core.ops import Array

from ._cell import Cell, check_step
from ._config import encode
from ._layers import Linear
from ._module import Module
from ._threshold import FixedThreshold, Threshold


class MotorOutput(NamedTuple):
    """Output of a motor neuron; arrays `(B, 1)`, or `(B, T)` of sequences.

    Attributes:
        logit: Drive before the sigmoid, for losses and scores.
        output: Its output, `sigmoid(logit)`, in (0, 1).
        threshold: Threshold that the output is compared with.
        trigger: 1 where the output exceeds the threshold, else 0.
    """

    logit: Array
    output: Array
    threshold: Array
    trigger: Array


class MotorHead(Module):
    """A motor neuron over a network's output, with a threshold.

    Args:
        input_size: Columns it sees, F.
        threshold: Its threshold; `FixedThreshold()` where not given.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.

    Attributes:
        synapses: Linear map of the input to the drive.

    Examples:
        >>> from ember_core import nn, ops
        >>> head = nn.MotorHead(5, nn.AdaptiveThreshold())
        >>> x = ops.ones((2, 5))
        >>> motor, state = head(x, ops.zeros((2, head.state_size)))
        >>> motor.output.shape, motor.trigger.shape
        ((2, 1), (2, 1))
    """

    input_size: int
    threshold: Threshold
    synapses: Linear

    def __init__(
        self, input_size: int, threshold: Threshold | None = None, *, generator: Any = None
    ) -> None:
        self.input_size = input_size
        self.threshold = FixedThreshold() if threshold is None else threshold
        self.synapses = Linear(input_size, 1, generator=generator)

    @property
    def state_size(self) -> int:
        """Columns of the state: the threshold's."""
        return self.threshold.state_size

    def forward(self, x: Array, state: Array) -> tuple[MotorOutput, Array]:
        """One row.

        Args:
            x: Input, `(B, F)`.
            state: State of the threshold, `(B, state_size)`; zeros at first.

        Returns:
            Drive, output, threshold and trigger, `(B, 1)` each, and the state after the row.
        """
        logit = self.synapses(x)
        output = ops.sigmoid(logit)
        threshold, state = self.threshold(x, output, state)
        trigger = ops.astype(output > threshold, ops.dtype(output))
        return MotorOutput(logit, output, threshold, trigger), state


class MotorCell(Cell):
    """A cell with a read-out and a motor neuron on its output.

    Args:
        cell: The cell.
        n_outputs: Columns O of the read-out.
        threshold: Threshold of the motor neuron; `FixedThreshold()` where not given.
        generator: Generator of the first weights of read-out and motor neuron; seed 0 without one.

    Attributes:
        readout: From the cell's output to the read-out.
        motor: The motor neuron on the cell's output.
    """

    cell: Cell
    n_outputs: int
    readout: Linear
    motor: MotorHead

    def __init__(
        self,
        cell: Cell,
        n_outputs: int = 1,
        threshold: Threshold | None = None,
        *,
        generator: Any = None,
    ) -> None:
        generator = ops.generator(0) if generator is None else generator
        self.input_size = cell.input_size
        self.cell = cell
        self.n_outputs = n_outputs
        self.readout = Linear(cell.output_size, n_outputs, generator=generator)
        self.motor = MotorHead(cell.output_size, threshold, generator=generator)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        parts = {"cell": self.cell, "threshold": self.motor.threshold}
        return {"n_outputs": self.n_outputs, **{name: encode(part) for name, part in parts.items()}}

    @property
    def state_size(self) -> int:
        """Columns of the state: the cell's, then the motor neuron's."""
        return self.cell.state_size + self.motor.state_size

    @property
    def output_size(self) -> int:
        """Columns of the output: the read-out's, then drive, output, threshold and trigger."""
        return self.n_outputs + len(MotorOutput._fields)

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step; arguments and returns as `Cell` says."""
        check_step(self, x, state, elapsed)
        cell_size = self.cell.state_size
        features, cell_state = self.cell(x, state[:, :cell_size], elapsed)
        motor, motor_state = self.motor(features, state[:, cell_size:])
        return (
            ops.concatenate([self.readout(features), *motor], axis=1),
            ops.concatenate([cell_state, motor_state], axis=1),
        )

    def split(self, output: Array) -> tuple[Array, MotorOutput]:
        """Read-out `(..., O)` and what the motor neuron says `(...)`, from outputs of this cell."""
        n = self.n_outputs
        return output[..., :n], MotorOutput(*(output[..., n + i] for i in range(4)))
