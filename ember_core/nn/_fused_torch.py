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
        self._local = threading.local()  # of each thread: tensors that every step fills anew

    def empty(self, units: int, rows: int) -> Any:
        """Room for a state, `(U, B)`."""
        return torch.empty((units, rows), device=self._device)

    def step(self, x: Any, before: Any, dt: Any, after: Any) -> None:
        """One tile: `(F, b)`, `(U, b)`, `(1, b)` in, `(U, b)` out."""
        blend = torch.lerp if self._gated else torch.addcmul
        with torch.no_grad():
            for weights, room in zip(self._layers, self._rooms(dt.shape[1]), strict=True):
                room.given.copy_(x)
                room.before.copy_(before[room.units])
                torch.mm(weights, room.joined, out=room.y)
                torch.addcmul(room.b, room.gate, dt, out=room.gate)
                room.gate.sigmoid_()
                room.squashed.tanh_()
                x = after[room.units]
                blend(room.f1, room.f2, room.gate, out=x)

    def _rooms(self, columns: int) -> list[_Room]:
        """Arrays of every layer, `columns` rows wide."""
        if getattr(self._local, "columns", None) != columns:
            first, rooms = 0, []
            for weights in self._layers:
                rooms.append(_Room(weights, columns, first))
                first += len(weights) // 4
            self._local.rooms, self._local.columns = rooms, columns
        return self._local.rooms  # type: ignore[no-any-return]


class _Room:
    """A layer's arrays of one tile, and views of them: a view costs as much as a small sum.

    Args:
        weights: The layer's, `(4 n, F + n + 1)`.
        columns: Rows of the tile.
        first: Its first neuron among all.
    """

    def __init__(self, weights: Any, columns: int, first: int) -> None:
        outputs, inputs = weights.shape
        n = outputs // 4
        self.units = slice(first, first + n)
        self.joined = torch.ones((inputs, columns), device=weights.device)  # the last row stays
        self.given = self.joined[: inputs - n - 1]
        self.before = self.joined[inputs - n - 1 : -1]
        self.y = torch.empty((outputs, columns), device=weights.device)
        self.f1, self.f2, self.gate, self.b = self.y.split(n)
        self.squashed = self.y[: 2 * n]
