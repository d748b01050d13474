"""The LSTM cell, and cells that remember through one."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.ops import Array

from ._cell import Cell, JoinedCell, check_step, check_units
from ._layers import glorot
from ._module import Parameter


class LSTMCell(JoinedCell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) with a forget bias.

    With `i, g, f, o` linear in input and hidden state:

        c' = sigmoid(f + forget_bias) c + sigmoid(g) tanh(i)
        h' = sigmoid(o) tanh(c')

    It has no notion of time: `elapsed` is accepted for the common interface and not used.

    Args:
        input_size: Columns of the input, F.
        hidden_size: Units H.
        forget_bias: Added to the forget gate, so that it begins open.
        generator: Generator of the initial weights, `ops.generator(seed)`; seed 0 without one.

    Attributes:
        weight: `(F + H, 4 H)`, the columns of `i`, `g`, `f` and `o`.
        bias: `(4 H,)`.

    Examples:
        >>> from ember_core import nn, ops
        >>> cell = nn.LSTMCell(5, 11)
        >>> x = ops.ones((2, 5))
        >>> output, state = cell(x, cell.initial_state(x), ops.ones((2, 1)))
        >>> output.shape, state.shape
        ((2, 11), (2, 22))
    """

    states_per_neuron = 2  # [h, c]
    forget_bias: float
    weight: Parameter
    bias: Parameter

    def __init__(
        self, input_size: int, hidden_size: int, forget_bias: float = 1.0, *, generator: Any = None
    ) -> None:
        check_units(input_size=input_size, hidden_size=hidden_size)
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.forget_bias = forget_bias
        gates = [glorot(generator, input_size + hidden_size, hidden_size) for _ in range(4)]
        self.weight = Parameter(ops.concatenate(gates, axis=1))
        self.bias = Parameter(ops.zeros((4 * hidden_size,)))

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step.

        Args:
            x: Input, `(B, F)`.
            state: `[h, c]` before the step, `(B, 2 H)`.
            elapsed: `(B, 1)`; not used.

        Returns:
            `h` after the step, `(B, H)`, and the state `[h, c]`, `(B, 2 H)`.

        Raises:
            ValueError: If a shape does not fit.
        """
        check_step(self, x, state, elapsed)
        n = self.hidden_size
        inputs = ops.concatenate([x, state[:, :n]], axis=1)
        y = ops.matmul(inputs, self.weight.data) + self.bias.data
        keep = ops.sigmoid(y[:, 2 * n : 3 * n] + self.forget_bias)
        memory = keep * state[:, n:] + ops.sigmoid(y[:, n : 2 * n]) * ops.tanh(y[:, :n])
        hidden = ops.sigmoid(y[:, 3 * n :]) * ops.tanh(memory)
        return hidden, ops.concatenate([hidden, memory], axis=1)


class MixedMemoryCell(Cell):
    """A cell whose state an LSTM updates before each of its steps.

    The liquid cell keeps the sense of time, the LSTM the memory over long sequences that a
    decaying state loses ("mixed memory" in Lechner and Hasani, "Learning long-term dependencies
    in irregularly-sampled time series", 2020).

    Args:
        cell: The cell; its state, of S columns, is the LSTM's hidden state.
        generator: Generator of the LSTM's initial weights; seed 0 without one.

    Attributes:
        memory: The LSTM.
    """

    cell: Cell
    memory: LSTMCell

    def __init__(self, cell: Cell, *, generator: Any = None) -> None:
        self.input_size = cell.input_size
        self.cell = cell
        self.memory = LSTMCell(cell.input_size, cell.state_size, generator=generator)

    @property
    def state_size(self) -> int:
        """Columns of the state: `[state of the cell, c of the LSTM]`, 2 S."""
        return 2 * self.cell.state_size

    @property
    def output_size(self) -> int:
        """Columns of the output: the cell's."""
        return self.cell.output_size

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step of the LSTM, then one of the cell; arguments and returns as `Cell` says."""
        check_step(self, x, state, elapsed)
        cell_size = self.cell.state_size
        hidden, memory_state = self.memory(x, state, elapsed)
        output, cell_state = self.cell(x, hidden, elapsed)
        return output, ops.concatenate([cell_state, memory_state[:, cell_size:]], axis=1)
