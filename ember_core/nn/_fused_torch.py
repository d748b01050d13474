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
        self._layers = [torch.from_numpy(np.ascontiguousarray(w)).to(like.device) for w in layers]
        self.rows = _TILE_ROWS if like.device.type == "cpu" else 0
        self._room = threading.local()  # of each thread: tensors that every step fills anew

    def empty(self, units: int, rows: int) -> Any:
        """Room for a state, `(U, B)`."""
        return torch.empty((units, rows), device=self._device)

    def step(self, x: Any, before: Any, dt: Any, after: Any) -> None:
        """One tile: `(F, b)`, `(U, b)`, `(1, b)` in, `(U, b)` out."""
        first = 0
        with torch.no_grad():
            for weights, (joined, y) in zip(self._layers, self._buffers(dt.shape[1]), strict=True):
                n = len(weights) // 4
                own = slice(first, first + n)
                joined[: len(x)].copy_(x)
                joined[len(x) : -1].copy_(before[own])  # and the last row is of ones
                torch.mm(weights, joined, out=y)
                f1, f2, gate = y[:n], y[n : 2 * n], y[2 * n : 3 * n]
                torch.addcmul(y[3 * n :], gate, dt, out=gate)
                gate.sigmoid_()
                y[: 2 * n].tanh_()
                x = after[own]
                if self._gated:
                    torch.lerp(f1, f2, gate, out=x)
                else:
                    torch.addcmul(f1, f2, gate, out=x)
                first += n

    def _buffers(self, columns: int) -> list[tuple[Any, Any]]:
        """For each layer what goes into its product and what comes out, `columns` rows wide."""
        if getattr(self._room, "columns", None) != columns:
            self._room.buffers = [
                (
                    torch.ones((w.shape[1], columns), device=self._device),
                    torch.empty((len(w), columns), device=self._device),
                )
                for w in self._layers
            ]
            self._room.columns = columns
        return self._room.buffers  # type: ignore[no-any-return]
