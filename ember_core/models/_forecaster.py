"""A liquid network that forecasts the next row, and is surprised."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.nn import Cell, Linear
from ember_core.ops import Array

from ._reading import ElapsedScale, ReadingModel


class ForecastCell(Cell):
    """A cell that holds its last row against what it forecast of it, then forecasts the next.

    Args:
        cell: The cell, over F columns.
        n_targets: Columns O that are forecast.
        generator: Generator of the read-out's initial weights; seed 0 without one.

    Attributes:
        readout: From the cell's output to the change until the next row.
        scale: What error is usual after how much time.
    """

    cell: Cell
    n_targets: int
    readout: Linear
    scale: ElapsedScale

    def __init__(self, cell: Cell, n_targets: int, *, generator: Any = None) -> None:
        self.input_size = cell.input_size + n_targets
        self.cell = cell
        self.n_targets = n_targets
        self.readout = Linear(cell.output_size, n_targets, generator=generator)
        self.scale = ElapsedScale(n_targets)

    @property
    def state_size(self) -> int:
        """Columns of the state: `[state of the cell, forecast, whether there is one]`."""
        return self.cell.state_size + self.n_targets + 1

    @property
    def output_size(self) -> int:
        """Columns of the output: `[forecast, error, score]`, O + 2."""
        return self.n_targets + 2

    def forward(self, x: Array, state: Array, elapsed: Array) -> tuple[Array, Array]:
        """One row; `x` is `[input, targets]`, `(B, F + O)`, the rest as `Cell` says."""
        cell_size, inputs = self.cell.state_size, self.cell.input_size
        target, due, started = x[:, inputs:], state[:, cell_size:-1], state[:, -1:]
        error = started * ops.mean(ops.square(target - due), axis=1, keepdims=True)
        score = started * self.scale(target - due, elapsed)
        features, cell_state = self.cell(x[:, :inputs], state[:, :cell_size], elapsed)
        # The next row is forecast as a departure from this one: levels may drift.
        forecast = target + self.readout(features)
        return (
            ops.concatenate([forecast, error, score], axis=1),
            ops.concatenate([cell_state, forecast, 0.0 * started + 1.0], axis=1),
        )


class LiquidForecaster(ReadingModel):
    """Forecasts of the next row, and how surprising each row was.

    Args:
        cell: Any recurrent cell, over F columns.
        n_targets: Columns O that are forecast.
        generator: Generator of the read-out's initial weights; seed 0 without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> from ember_core.models import LiquidForecaster
        >>> model = LiquidForecaster(nn.liquid_cell("ncp", 5, units=13), n_targets=5)
        >>> reading, state = model(ops.ones((2, 7, 5)), elapsed=ops.full((2, 7), 0.5))
        >>> reading.output.shape, reading.score.shape
        ((2, 7, 5), (2, 7))
    """

    def __init__(self, cell: Cell, n_targets: int, *, generator: Any = None) -> None:
        super().__init__(ForecastCell(cell, n_targets, generator=generator), n_targets)
