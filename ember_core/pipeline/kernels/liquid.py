"""The liquid cell over several rows a key, with as few operations in its loop as possible.

The product of the rows' own inputs is one over all rows; in the loop remain the products of the
state. Both parts are exact (`ops.exact_matmul`), so that their sum has the bits of
the whole, and everything else is the operations of `LiquidNetwork.advance` in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ember_core.ops import ExactWeight
from ember_core.ops.exact import GRID, INPUT_LIMIT
from ember_core.pipeline.packing import PackedRows

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
_GRID = np.float32(GRID)
_LIMIT = np.float32(INPUT_LIMIT)


class PackedLiquid:
    """A frozen cell on NumPy's arrays.

    Args:
        synapses: `(n_in + H, H)`.
        gates: Content and gate, `(H, 2 H)`.
        bias: `(H,)`.
        tau: `(H,)`.
    """

    def __init__(self, synapses: ExactWeight, gates: ExactWeight, bias: Any, tau: Any) -> None:
        self._hidden = gates.shape[0]
        # Sums over more than one block are rounded in between: they cannot be split in two.
        self._whole = len(synapses.blocks) == 1 and len(gates.blocks) == 1
        n_in = synapses.shape[0] - self._hidden
        self._from_input: Doubles = np.ascontiguousarray(synapses.blocks[0][:n_in])
        self._from_state: Doubles = np.ascontiguousarray(synapses.blocks[0][n_in:])
        self._gates: Doubles = gates.blocks[0]
        self._bias, self._tau = np.asarray(bias), np.asarray(tau)

    def applies(self, h: Floats) -> bool:
        """Return whether the loop has the bits of `advance`: few terms, a state in its bounds."""
        return self._whole and bool((np.abs(h) <= 1.0).all())

    def states(self, x: Floats, h: Floats, elapsed: Floats, packed: PackedRows) -> Floats:
        """Return the liquid state after each row.

        Args:
            x: Input of the cell, `(R, n_in)`.
            h: Liquid state before each key's first row, `(K, H)`, within +-1.
            elapsed: Time since the row before, in usual intervals, `(R,)`.
            packed: Key of each row.

        Returns:
            `(R, H)`, float32.
        """
        rounded = np.maximum(np.minimum(x, _LIMIT), -_LIMIT)
        rounded += _GRID  # adding and taking off a large number rounds to its grid
        rounded -= _GRID
        drive = rounded.astype(np.float64) @ self._from_input
        out = np.empty((packed.row_count, self._hidden), dtype=np.float32)
        passed = np.repeat(-elapsed[:, None], self._hidden, axis=1)
        for part, shape in packed.runs():
            h = h[: shape[1]] if len(shape) == 2 else h[0]
            run_shape = (*shape, self._hidden)
            columns = (column[part].reshape(run_shape) for column in (passed, out))
            h = self._loop(h, drive[part].reshape(run_shape), *columns)
        return out

    def _loop(self, h: Floats, drive: Doubles, passed: Floats, out: Floats) -> Floats:
        """Advance the same keys over several steps, and return their last state.

        `h` is `(H,)` for one key, `(n, H)` for several. All results go into arrays made before the
        loop: an allocation costs as much as an operation on so few numbers.
        """
        hidden, shape = self._hidden, h.shape
        grid, unit = np.full(shape, _GRID), np.ones(shape, dtype=np.float32)
        low, high = np.full(shape, -2.0, np.float32), np.full(shape, 2.0, np.float32)
        bias, tau = self._bias, self._tau
        wide, total = np.empty(shape), np.empty(shape)
        inner, rate, content = (np.empty(shape, dtype=np.float32) for _ in range(3))
        gates64 = np.empty((*shape[:-1], 2 * hidden))
        gates_out = np.empty(gates64.shape, dtype=np.float32)
        content_part, gate_part = gates_out[..., :hidden], gates_out[..., hidden:]
        from_state, gates = self._from_state, self._gates
        add, subtract, multiply, divide = np.add, np.subtract, np.multiply, np.divide
        tanh, exp, maximum, minimum = np.tanh, np.exp, np.maximum, np.minimum
        dot = wide.dot
        for input_drive, time, result in zip(drive, passed, out, strict=True):
            subtract(add(h, grid, inner), grid, inner)
            wide[...] = inner
            dot(from_state, total)
            add(total, input_drive, total)
            inner[...] = total
            wide[...] = add(inner, bias, inner)
            inner[...] = tanh(wide, wide)
            subtract(add(inner, grid, inner), grid, inner)
            wide[...] = inner
            dot(gates, gates64)
            gates_out[...] = gates64
            wide[...] = content_part
            content[...] = tanh(wide, wide)
            wide[...] = minimum(maximum(gate_part, low, out=rate), high, out=rate)
            rate[...] = exp(wide, wide)
            wide[...] = multiply(time, divide(rate, tau, rate), rate)
            rate[...] = exp(wide, wide)  # the share that is kept
            multiply(subtract(unit, rate, inner), content, inner)
            h = add(multiply(rate, h, rate), inner, result)
        return h
