"""Cells that look at every n-th row only, and several of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ember_core import ops
from ember_core.ops import Array

from ._cell import Cell, check_step, check_units
from ._layers import Linear


class StridedCell(Cell):
    """A cell that is stepped on every `stride`-th row and holds its output in between.

    Its step is given the time since its own last one. Rows are counted for each row of the batch,
    from the first one that the state has seen: batches may begin anywhere.

    Args:
        cell: The cell, of S state and O output columns.
        stride: Rows from one step to the next.

    Examples:
        >>> from ember_core import nn, ops
        >>> cell = nn.StridedCell(nn.CfCCell(5, 11), stride=3)
        >>> x, time = ops.ones((2, 5)), ops.ones((2, 1))
        >>> first, state = cell(x, cell.initial_state(x), time)
        >>> second, state = cell(2.0 * x, state, time)
        >>> bool((first == second).all())
        True
    """

    cell: Cell
    stride: int

    def __init__(self, cell: Cell, stride: int) -> None:
        check_units(stride=stride)
        self.input_size = cell.input_size
        self.cell = cell
        self.stride = stride

    @property
    def state_size(self) -> int:
        """Columns of the state: `[state of the cell, held output, rows, time]`, S + O + 2."""
        return self.cell.state_size + self.cell.output_size + 2

    @property
    def output_size(self) -> int:
        """Columns of the output: the cell's."""
        return self.cell.output_size

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One row; arguments and returns as `Cell` says."""
        check_step(self, x, state, elapsed)
        cell_size = self.cell.state_size
        inner, held_output = state[:, :cell_size], state[:, cell_size:-2]
        row, cell_time = state[:, -2:-1], state[:, -1:]
        due = row < 0.5
        cell_time = cell_time + elapsed
        output, new_state = self.cell(x, inner, cell_time)
        inner, held_output = ops.where(due, new_state, inner), ops.where(due, output, held_output)
        row = ops.where(row + 1.5 > self.stride, 0.0 * row, row + 1.0)
        cell_time = ops.where(due, 0.0 * cell_time, cell_time)
        return held_output, ops.concatenate([inner, held_output, row, cell_time], axis=1)


class StrideMemoryCell(Cell):
    """The mean of what a cell says of every row and of every `stride`-th row.

    Both views share the cell's weights, each has a state of its own. (The "mixed memory" of the
    older pipeline's `StrideAwareCfC`.)

    Args:
        cell: The cell.
        stride: Rows from one step of the second view to the next; 1 changes nothing.
    """

    cell: Cell
    stride: int

    def __init__(self, cell: Cell, stride: int) -> None:
        self.input_size = cell.input_size
        self.cell = cell
        self.stride = stride
        self._strided = StridedCell(cell, stride)

    @property
    def state_size(self) -> int:
        """Columns of the state: the cell's, then those of a `StridedCell`."""
        return self.cell.state_size + self._strided.state_size

    @property
    def output_size(self) -> int:
        """Columns of the output: the cell's."""
        return self.cell.output_size

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One row; arguments and returns as `Cell` says."""
        check_step(self, x, state, elapsed)
        cell_size = self.cell.state_size
        every_row, new_state = self.cell(x, state[:, :cell_size], elapsed)
        strided, strided_state = self._strided(x, state[:, cell_size:], elapsed)
        return 0.5 * (every_row + strided), ops.concatenate([new_state, strided_state], axis=1)


class MultiStrideCell(Cell):
    """Several time perspectives on one input: a cell per stride, their outputs side by side.

    Args:
        input_size: Columns of the input, F.
        cells: One cell per stride; each sees a linear map of the input.
        strides: Rows from one step of each cell to its next.
        generator: Generator of the maps' initial weights; seed 0 without one.

    Raises:
        ValueError: If there is not one stride per cell, or none.

    Examples:
        >>> from ember_core import nn, ops
        >>> cells = [nn.StrideAwareCfCCell(5, 7, stride_length=s) for s in (1, 3, 5)]
        >>> cell = nn.MultiStrideCell(2, cells, (1, 3, 5))
        >>> cell.output_size
        21
    """

    cells: list[Cell]
    strides: list[int]
    projections: list[Linear]

    def __init__(
        self,
        input_size: int,
        cells: Sequence[Cell],
        strides: Sequence[int] = (1, 3, 5),
        *,
        generator: Any = None,
    ) -> None:
        if not cells or len(cells) != len(strides):
            raise ValueError(
                "A multi-stride cell needs one cell per stride. Expected as many of both. "
                f"Received: {len(cells)} cells, strides={tuple(strides)}."
            )
        generator = ops.generator(0) if generator is None else generator
        self.input_size = input_size
        self.cells = list(cells)
        self.strides = [int(stride) for stride in strides]
        self.projections = [
            Linear(input_size, cell.input_size, generator=generator) for cell in self.cells
        ]
        self._strided = [
            StridedCell(cell, stride) for cell, stride in zip(self.cells, self.strides, strict=True)
        ]

    @property
    def state_size(self) -> int:
        """Columns of the state: those of a `StridedCell` per stride."""
        return sum(cell.state_size for cell in self._strided)

    @property
    def output_size(self) -> int:
        """Columns of the output: those of all cells."""
        return sum(cell.output_size for cell in self.cells)

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One row; arguments and returns as `Cell` says."""
        check_step(self, x, state, elapsed)
        outputs, states, start = [], [], 0
        for cell, projection in zip(self._strided, self.projections, strict=True):
            end = start + cell.state_size
            output, new_state = cell(projection(x), state[:, start:end], elapsed)
            outputs.append(output)
            states.append(new_state)
            start = end
        return ops.concatenate(outputs, axis=1), ops.concatenate(states, axis=1)
