"""Base of all recurrent cells: one step, with the state as argument and result."""

from __future__ import annotations

from typing import ClassVar

from ember_core import ops
from ember_core.ops import Array

from ._module import Module
from ._wiring import Wiring


class Cell(Module):
    """A recurrent cell. Abstract: a subclass has `forward` and the three sizes.

    A cell's `forward(x, state, elapsed)` takes the input `(B, input_size)`, the state
    `(B, state_size)` and the time since the step before `(B, 1)`, and returns the output
    `(B, output_size)` and the state after the step. The state is one array, whatever it is made
    of, so that any cell can stand where another stood.

    Attributes:
        input_size: Columns of the input.
    """

    input_size: int

    @property
    def state_size(self) -> int:
        """Columns of the state."""
        raise NotImplementedError(f"{type(self).__name__} has no state_size. Write it.")

    @property
    def output_size(self) -> int:
        """Columns of the output."""
        raise NotImplementedError(f"{type(self).__name__} has no output_size. Write it.")

    def initial_state(self, x: Array) -> Array:
        """State before the first step: zeros `(B, state_size)`, of the backend and dtype of `x`.

        Args:
            x: Any array of B rows, such as the input `(B, F)` or a sequence `(B, T, F)`.
        """
        rows = ops.shape(x)[0]
        column = ops.zeros_like(ops.reshape(x, (rows, -1))[:, :1])
        return ops.broadcast_to(column, (rows, self.state_size))


class JoinedCell(Cell):
    """A cell whose H neurons are all joined. Abstract: a subclass has `forward`.

    Attributes:
        hidden_size: Neurons H.
        states_per_neuron: Columns of the state that a neuron has.
    """

    hidden_size: int
    states_per_neuron: ClassVar[int] = 1

    @property
    def state_size(self) -> int:
        """Columns of the state: H, or a multiple of it."""
        return self.states_per_neuron * self.hidden_size

    @property
    def output_size(self) -> int:
        """Columns of the output, H."""
        return self.hidden_size


class WiredCell(Cell):
    """A cell whose U neurons are joined by a wiring. Abstract: a subclass has `forward`.

    Attributes:
        wiring: The wiring, built for the input.
        states_per_neuron: Columns of the state that a neuron has.
    """

    wiring: Wiring
    states_per_neuron: ClassVar[int] = 1

    @property
    def state_size(self) -> int:
        """Columns of the state: U, or a multiple of it."""
        return self.states_per_neuron * self.wiring.units

    @property
    def output_size(self) -> int:
        """Columns of the output: the motor neurons."""
        return self.wiring.output_dim


def check_step(cell: Cell, x: Array, state: Array, elapsed: Array) -> None:
    """Refuse the arrays of a step that would broadcast to something else.

    Raises:
        ValueError: If `x` is not `(B, input_size)`, `state` not `(B, state_size)`, or `elapsed`
            not `(B, 1)`.
    """
    shape = ops.shape(x)
    if len(shape) != 2 or shape[1] != cell.input_size:
        raise ValueError(
            f"The input does not fit {type(cell).__name__}. Expected shape "
            f"(B, {cell.input_size}). Received: x.shape={shape}."
        )
    rows = shape[0]
    if ops.shape(state) != (rows, cell.state_size):
        raise ValueError(
            f"The state does not fit {type(cell).__name__}. Expected shape "
            f"({rows}, {cell.state_size}). Received: state.shape={ops.shape(state)}. "
            f"Begin with cell.initial_state(x)."
        )
    if ops.shape(elapsed) != (rows, 1):
        raise ValueError(
            f"The elapsed times are not one per row. Expected shape ({rows}, 1). "
            f"Received: elapsed.shape={ops.shape(elapsed)}. Reshape with elapsed[:, None]."
        )


def check_units(**sizes: int) -> None:
    """Refuse sizes below 1.

    Raises:
        ValueError: With the first size that is.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"A cell needs {name} >= 1. Received: {name}={size}.")
