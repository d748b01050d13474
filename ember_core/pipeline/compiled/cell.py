"""The liquid cell: rows of different keys share the weights of a product."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementary import exp_all, larger, on_grid, smaller, tanh_all
from .products import TILE_ROWS, exact_product
from .variants import inlined

_F = np.float32
_ONE, _TWO = _F(1.0), _F(2.0)


@inlined
def end_of_group(key: Any, start: Any) -> Any:
    """Return the end of the rows from `start` on, at most four, that are of different keys."""
    end = start + 1
    while end < key.size and end < start + TILE_ROWS:
        for r in range(start, end):
            if key[r] == key[end]:
                return end
        end += 1
    return end


@inlined
def advance_cell(
    group: Any,
    x: Any,
    h: Any,
    passed: Any,
    synapses: Any,
    bias: Any,
    gates: Any,
    tau: Any,
    content: Any,
    decay: Any,
    inner: Any,
    sums: Any,
    part: Any,
) -> None:
    """Advance the cell by one row of some keys: `LiquidNetwork.advance`.

    Args:
        group: Number of keys, 1 to 4.
        x: Input, and room for the state, on the grid, `(4, n_in + H)`, float64.
        h: Liquid state, updated in place, `(4 H,)`.
        passed: Time since the row before, times -1, `(4,)`.
        synapses: `(n_in + H, H)`, padded.
        bias: `(H,)`.
        gates: `(H, 2 H)`, padded.
        tau: `(H,)`.
        content: Memory, `(4 H,)`.
        decay: Memory, `(4 H,)`.
        inner: Memory, `(4, H)`, float64.
        sums: Memory, `(4, N)`, of the widest product.
        part: Memory for one block of terms, like `sums`.
    """
    hidden = tau.size
    n_in, n = synapses.shape[0] - hidden, group * hidden
    for q in range(group):
        for j in range(hidden):
            x[q, n_in + j] = np.float64(on_grid(h[q * hidden + j]))
    exact_product(x, 0, group, synapses, sums, part)
    for q in range(group):
        for j in range(hidden):
            content[q * hidden + j] = _F(sums[q, j]) + bias[j]
    tanh_all(content, n)
    for q in range(group):
        for j in range(hidden):
            inner[q, j] = np.float64(on_grid(content[q * hidden + j]))
    exact_product(inner, 0, group, gates, sums, part)
    for q in range(group):
        for j in range(hidden):
            content[q * hidden + j] = _F(sums[q, j])
            gate = _F(sums[q, hidden + j])
            decay[q * hidden + j] = smaller(larger(gate, -_TWO), _TWO)
    tanh_all(content, n)
    exp_all(decay, n)
    for q in range(group):
        for j in range(hidden):
            decay[q * hidden + j] = passed[q] * (decay[q * hidden + j] / tau[j])
    exp_all(decay, n)
    for i in range(n):
        h[i] = decay[i] * h[i] + (_ONE - decay[i]) * content[i]
