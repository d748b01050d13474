"""The liquid cell over several rows a key, with as few operations in its loop as there can be.

What a row's own input brings to the cell is one product over all rows; in the loop remain the
products of the state. Both parts are exact (`ops.exact_matmul`), so that their sum has the bits of
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
        # Sums over more than one block are rounded in between: their parts cannot be taken apart.
        self._whole = len(synapses.blocks) == 1 and len(gates.blocks) == 1
        n_in = synapses.shape[0] - self._hidden
        self._from_input: Doubles = np.ascontiguousarray(synapses.blocks[0][:n_in])
        self._from_state: Doubles = np.ascontiguousarray(synapses.blocks[0][n_in:])
        self._gates: Doubles = gates.blocks[0]
        self._bias, self._tau = np.asarray(bias), np.asarray(tau)

    def can(self, h: Floats) -> bool:
        """Whether the loop has the bits of `advance`: few enough terms, a state in its bounds."""
        return self._whole and bool((np.abs(h) <= 1.0).all())

    def __call__(self, x: Floats, h: Floats, elapsed: Floats, packed: PackedRows) -> Floats:
        """Liquid state after each row.

        Args:
            x: Input of the cell, `(R, n_in)`.
            h: Liquid state before each key's first row, `(K, H)`, within +-1.
            elapsed: Time since the row before, in usual intervals, `(R,)`.
            packed: Which key each row is of.

        Returns:
            `(R, H)`, float32.
        """
        held = np.maximum(np.minimum(x, _LIMIT), -_LIMIT)
        held += _GRID
        held -= _GRID
        drive = held.astype(np.float64) @ self._from_input
        out = np.empty((packed.rows, self._hidden), dtype=np.float32)
        passed = np.repeat(-elapsed[:, None], self._hidden, axis=1)
        before = h
        for part, shape in packed.runs():
            before = before[: shape[1]] if len(shape) == 2 else before[0]
            whole = (*shape, self._hidden)
            now = (column[part].reshape(whole) for column in (passed, out))
            before = self._loop(before, drive[part].reshape(whole), *now)
        return out

    def _loop(self, h: Floats, drive: Doubles, passed: Floats, out: Floats) -> Floats:
        """Turns of the same keys: `h` is `(H,)` of one or `(n, H)` of several; gives the last."""
        hidden, shape = self._hidden, h.shape
        grid, one = np.full(shape, _GRID), np.ones(shape, dtype=np.float32)
        low, high = np.full(shape, -2.0, np.float32), np.full(shape, 2.0, np.float32)
        bias, tau = self._bias, self._tau
        wide, total = np.empty(shape), np.empty(shape)
        inner, rate, content = (np.empty(shape, dtype=np.float32) for _ in range(3))
        both64 = np.empty((*shape[:-1], 2 * hidden))
        both = np.empty(both64.shape, dtype=np.float32)
        left, right = both[..., :hidden], both[..., hidden:]
        from_state, gates = self._from_state, self._gates
        add, subtract, multiply, divide = np.add, np.subtract, np.multiply, np.divide
        tanh, exp, maximum, minimum = np.tanh, np.exp, np.maximum, np.minimum
        dot = wide.dot
        for moved, time, now in zip(drive, passed, out, strict=True):
            subtract(add(h, grid, inner), grid, inner)
            wide[...] = inner
            dot(from_state, total)
            add(total, moved, total)
            inner[...] = total
            wide[...] = add(inner, bias, inner)
            inner[...] = tanh(wide, wide)
            subtract(add(inner, grid, inner), grid, inner)
            wide[...] = inner
            dot(gates, both64)
            both[...] = both64
            wide[...] = left
            content[...] = tanh(wide, wide)
            wide[...] = minimum(maximum(right, low, out=rate), high, out=rate)
            rate[...] = exp(wide, wide)
            wide[...] = multiply(time, divide(rate, tau, rate), rate)
            rate[...] = exp(wide, wide)  # what is kept
            multiply(subtract(one, rate, inner), content, inner)
            h = add(multiply(rate, h, rate), inner, now)
        return h
