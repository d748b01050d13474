"""The step of `FusedCfC` on PyTorch's tensors, on any device."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch

_TILE_ROWS = 4096  # of a step on a processor: its arrays stay in the second-level cache


class TorchTiles:
    """Tiles of rows on PyTorch.

    Args:
        layers: Weights of each layer, `(4 H, F + H + 1)`, the bias last, as NumPy's arrays.
        gated: Whether `f1` fades as the gate opens.
        like: A tensor on the device of the rows.

    Attributes:
        rows: Rows of a tile; 0 is all of them.
    """

    def __init__(self, layers: list[Any], gated: bool, like: Any) -> None:
        self._gated = gated
        self._device = like.device
        layers = [np.array(weights) for weights in layers]
        for weights in layers:
            weights[: len(weights) // 2] *= 2.0  # tanh(u) = 2 sigmoid(2 u) - 1
        for weights, previous in zip(layers[1:], layers, strict=False):
            # It gets s of the layer before, whose state is 2 s - 1.
            from_previous = weights[:, : len(previous) // 4]
            weights[:, -1] -= from_previous.sum(axis=1)
            from_previous *= 2.0
        self._layers = [torch.from_numpy(np.ascontiguousarray(w)).to(like.device) for w in layers]
        self._minus_one = torch.tensor(-1.0, device=like.device)
        self.rows = _TILE_ROWS if like.device.type == "cpu" else 0
        self._local = threading.local()  # of each thread: tensors that every step fills anew

    def empty(self, units: int, rows: int) -> Any:
        """Room for a state, `(U, B)`."""
        return torch.empty((units, rows), device=self._device)

    def step(self, x: Any, before: Any, dt: Any, after: Any) -> None:
        """One tile: `(F, b)`, `(U, b)`, `(1, b)` in, `(U, b)` out."""
        with torch.no_grad():
            buffers = self._layer_buffers(dt.shape[1])
            buffers[0].input.copy_(x)
            for weights, buffer in zip(self._layers, buffers, strict=True):
                buffer.state.copy_(before[buffer.units])
                torch.mm(weights, buffer.operand, out=buffer.y)
                torch.addcmul(buffer.b, buffer.gate, dt, out=buffer.gate)
                buffer.squashed.sigmoid_()
                if self._gated:
                    torch.lerp(buffer.f1, buffer.f2, buffer.gate, out=buffer.output)
                else:
                    buffer.f2.sub_(0.5)
                    torch.addcmul(buffer.f1, buffer.f2, buffer.gate, out=buffer.output)
                torch.add(self._minus_one, buffer.output, alpha=2.0, out=after[buffer.units])

    def _layer_buffers(self, columns: int) -> list[_Buffers]:
        """Arrays of every layer, `columns` rows wide."""
        if getattr(self._local, "columns", None) != columns:
            buffers: list[_Buffers] = []
            # Buffers are made from the last layer to the first: each needs the next one's input.
            for weights in reversed(self._layers):
                buffers.append(_Buffers(weights, columns, buffers[-1].input if buffers else None))
            first = 0
            for buffer in reversed(buffers):
                buffer.units = slice(first, first + len(buffer.f1))
                first += len(buffer.f1)
            self._local.layers, self._local.columns = buffers[::-1], columns
        return self._local.layers  # type: ignore[no-any-return]


class _Buffers:
    """A layer's arrays of one tile, and views of them: a view costs as much as a small sum.

    Args:
        weights: The layer's, `(4 n, F + n + 1)`.
        columns: Rows of the tile.
        output: Array that receives the neurons, `(n, columns)`: part of the next layer's input.
    """

    units: slice  # its neurons among all

    def __init__(self, weights: Any, columns: int, output: Any) -> None:
        outputs, inputs = weights.shape
        n = outputs // 4
        self.operand = torch.ones((inputs, columns), device=weights.device)  # the last row stays
        self.input = self.operand[: inputs - n - 1]
        self.state = self.operand[inputs - n - 1 : -1]
        self.y = torch.empty((outputs, columns), device=weights.device)
        self.f1, self.f2, self.gate, self.b = self.y.split(n)
        self.squashed = self.y[: 3 * n]
        self.output = self.f1 if output is None else output
