"""A liquid cell whose output a memory gates."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.ops import Array

from ._cell import Cell, check_step
from ._layers import Linear


class LSTMGatedCell(Cell):
    """A liquid cell and a memory beside it that says how much of each neuron counts.

        c = cell(linear(x)),   l = memory(x),   output = [sigmoid(linear(l)) c, l]

    Args:
        input_size: Columns of the input, F.
        cell: The liquid cell; it sees a linear map of the input.
        memory: The cell that gates it, an `LSTMCell` as a rule; it sees the input, so its
            `input_size` is F.
        generator: Generator of the maps' initial weights; seed 0 without one.

    Raises:
        ValueError: If the memory takes another input.

    Attributes:
        projection: From the input to the liquid cell's input.
        gate: From the memory's output to one gate for each output of the liquid cell.
    """

    cell: Cell
    memory: Cell
    projection: Linear
    gate: Linear

    def __init__(self, input_size: int, cell: Cell, memory: Cell, *, generator: Any = None) -> None:
        if memory.input_size != input_size:
            raise ValueError(
                "The memory takes another input than the network. Expected "
                f"memory.input_size={input_size}. Received: {memory.input_size}."
            )
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.cell = cell
        self.memory = memory
        self.projection = Linear(input_size, cell.input_size, generator=generator)
        self.gate = Linear(memory.output_size, cell.output_size, generator=generator)

    @property
    def state_size(self) -> int:
        """Columns of the state: the cell's, then the memory's."""
        return self.cell.state_size + self.memory.state_size

    @property
    def output_size(self) -> int:
        """Columns of the output: the cell's, then the memory's."""
        return self.cell.output_size + self.memory.output_size

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One step; arguments and returns as `Cell` says."""
        check_step(self, x, state, elapsed)
        cell_size = self.cell.state_size
        liquid, cell_state = self.cell(self.projection(x), state[:, :cell_size], elapsed)
        memory, memory_state = self.memory(x, state[:, cell_size:], elapsed)
        gated = ops.sigmoid(self.gate(memory)) * liquid
        return (
            ops.concatenate([gated, memory], axis=1),
            ops.concatenate([cell_state, memory_state], axis=1),
        )
