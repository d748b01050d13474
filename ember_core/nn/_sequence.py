"""Layers that run a cell over a batch of sequences."""

from __future__ import annotations

from typing import Any

from ember_core import ops
from ember_core.ops import Array

from ._cell import Cell
from ._layers import Linear
from ._module import Module


class SequenceLayer(Module):
    """A cell over sequences. Abstract: use `Recurrent`, `CfC`, `LTC`, `LSTM`, `StrideAwareCfC`.

    Attributes:
        cell: The cell that is stepped.
        proj_size: Columns of the output where a linear map follows the cell; `None` without one.
        return_sequences: Whether the output of every step is returned, or of the last one.
        projection: That map, `None` without one.
    """

    cell: Cell
    proj_size: int | None
    return_sequences: bool
    projection: Linear | None

    def _take(
        self, cell: Cell, proj_size: int | None, return_sequences: bool, generator: Any
    ) -> None:
        self.cell = cell
        self.proj_size = proj_size
        self.return_sequences = return_sequences
        self.projection = None
        if proj_size is not None:
            self.projection = Linear(cell.output_size, proj_size, generator=generator)

    @property
    def output_size(self) -> int:
        """Columns of the output."""
        return self.cell.output_size if self.proj_size is None else self.proj_size

    def forward(
        self,
        x: Array,
        state: Array | None = None,
        elapsed: Array | float = 1.0,
        mask: Array | None = None,
    ) -> tuple[Array, Array]:
        """Step through all sequences at once.

        Args:
            x: Sequences, `(B, T, F)`.
            state: State of the cell before them, `(B, cell.state_size)`; zeros where not given.
            elapsed: Time since the step before: one number, or one for each step of each
                sequence, `(B, T)`.
            mask: `(B, T)`, true (or not 0) where a step is there. A step that is not there
                changes nothing, and what `x` holds there does not count. Its time counts toward
                the next step that is there, except before a sequence's first: sequences may be
                padded at either end, and have holes.

        Returns:
            The output `(B, T, O)`, or `(B, O)` of each sequence's last step that is there where
            `return_sequences` is false; a step that is not there has the output of the one before
            it, and zeros before the first (mapped, where `proj_size` is given). And the state
            after the sequences, `(B, cell.state_size)`.

        Raises:
            ValueError: If a shape does not fit.
        """
        rows, steps = self._check(x, elapsed, mask)
        state = self.cell.initial_state(x) if state is None else state
        column = ops.zeros_like(x[:, 0, :1])
        times: Array = elapsed
        constant = None if len(ops.shape(elapsed)) == 2 else column + elapsed
        output = ops.broadcast_to(column, (rows, self.cell.output_size))
        started, pending_time = column > 1.0, column
        outputs = []
        for t in range(steps):
            dt = times[:, t : t + 1] if constant is None else constant
            if mask is None:
                output, state = self.cell(x[:, t], state, dt)
            else:
                present = mask[:, t : t + 1] != 0
                step_time = ops.where(started, pending_time, 0.0 * column) + dt
                # What padding holds, NaN even, must reach neither value nor gradient.
                inputs = ops.where(present, x[:, t], ops.zeros_like(x[:, t]))
                stepped = self.cell(inputs, state, ops.where(present, step_time, column + 1.0))
                output, state = (
                    ops.where(present, stepped[0], output),
                    ops.where(present, stepped[1], state),
                )
                started, pending_time = started | present, ops.where(present, column, step_time)
            outputs.append(output)
        result = ops.stack(outputs, axis=1) if self.return_sequences else output
        return (result if self.projection is None else self.projection(result)), state

    def _check(self, x: Array, elapsed: Array | float, mask: Array | None) -> tuple[int, int]:
        """Rows and steps of the sequences, whose shapes have to fit."""
        shape = ops.shape(x)
        if len(shape) != 3 or shape[2] != self.cell.input_size or not shape[1]:
            raise ValueError(
                f"The sequences do not fit the layer. Expected shape (B, T, "
                f"{self.cell.input_size}) with T >= 1. Received: x.shape={shape}. "
                f"A single sequence (T, F) needs x[None]."
            )
        for name, value, scalar in (("elapsed", elapsed, True), ("mask", mask, False)):
            received = () if value is None else ops.shape(value)
            if received != shape[:2] and not (received == () and (scalar or value is None)):
                raise ValueError(
                    f"The {name} of the sequences does not fit. Expected "
                    f"{'a number or ' if scalar else ''}shape {shape[:2]}. "
                    f"Received: {name}.shape={received}."
                )
        return shape[0], shape[1]


class Recurrent(SequenceLayer):
    """Any cell over a batch of sequences; `SequenceLayer` says how it is called.

    Args:
        cell: The cell.
        proj_size: Columns of a linear map of the output; none without it.
        return_sequences: Whether every step's output is returned, or the last one's.
        generator: Generator of the map's initial weights; seed 0 without one.

    Examples:
        >>> from ember_core import nn, ops
        >>> layer = nn.Recurrent(nn.LSTMCell(5, 11), proj_size=3)
        >>> output, state = layer(ops.ones((2, 7, 5)))
        >>> output.shape, state.shape
        ((2, 7, 3), (2, 22))
    """

    def __init__(
        self,
        cell: Cell,
        proj_size: int | None = None,
        return_sequences: bool = True,
        *,
        generator: Any = None,
    ) -> None:
        self._take(cell, proj_size, return_sequences, generator)
