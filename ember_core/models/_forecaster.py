"""A liquid network that forecasts the next row, and is surprised."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.nn import Cell, Linear, Module, Recurrent
from ember_core.ops import Array

from ._reading import ElapsedScale, Reading


class ForecastCell(Cell):
    """A cell that holds its last row against what it forecast of it, then forecasts the next.

    Args:
        cell: The cell, over F columns.
        n_targets: Columns O that are forecast.
        generator: Of the read-out's initial weights; seed 0 without one.

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
        own, inputs = self.cell.state_size, self.cell.input_size
        target, due, begun = x[:, inputs:], state[:, own:-1], state[:, -1:]
        error = begun * ops.mean(ops.square(target - due), axis=1, keepdims=True)
        score = begun * self.scale(target - due, elapsed)
        seen, moved = self.cell(x[:, :inputs], state[:, :own], elapsed)
        # The next row is forecast as a departure from this one: levels may drift.
        ahead = target + self.readout(seen)
        return (
            ops.concatenate([ahead, error, score], axis=1),
            ops.concatenate([moved, ahead, 0.0 * begun + 1.0], axis=1),
        )


class LiquidForecaster(Module):
    """Forecasts of the next row, and how surprising each row was.

    Args:
        cell: Any recurrent cell, over F columns.
        n_targets: Columns O that are forecast.
        generator: Of the read-out's initial weights; seed 0 without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> from ember_core.models import LiquidForecaster
        >>> model = LiquidForecaster(nn.liquid_cell("ncp", 5, units=13), n_targets=5)
        >>> reading, state = model(ops.ones((2, 7, 5)), elapsed=ops.full((2, 7), 0.5))
        >>> reading.output.shape, reading.score.shape
        ((2, 7, 5), (2, 7))
    """

    n_targets: int
    sequence: Recurrent

    def __init__(self, cell: Cell, n_targets: int, *, generator: Any = None) -> None:
        self.n_targets = n_targets
        self.sequence = Recurrent(ForecastCell(cell, n_targets, generator=generator))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        config = self.sequence.cell.get_config()
        return {name: config[name] for name in ("cell", "n_targets")}

    @property
    def state_size(self) -> int:
        """Columns of the state."""
        return self.sequence.cell.state_size

    @property
    def scale(self) -> ElapsedScale:
        """What error is usual after how much time."""
        scale: ElapsedScale = self.sequence.cell.scale  # type: ignore[attr-defined]
        return scale

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
            target: Rows to be forecast, `(B, T, O)`; `x` where not given.

        Returns:
            Per step: the forecast of the next row, the error of the forecast of this one and its
            score; and the state after the sequences.

        Raises:
            ValueError: If a shape does not fit.
        """
        target = x if target is None else target
        both = ops.concatenate([x, target], axis=2)
        output, state = self.sequence(both, state, elapsed, mask)
        n = self.n_targets
        return Reading(output[:, :, :n], output[:, :, n], output[:, :, n + 1]), state
