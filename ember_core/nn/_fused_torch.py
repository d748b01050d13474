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
            handed_on = weights[:, : len(previous) // 4]
            weights[:, -1] -= handed_on.sum(axis=1)
            handed_on *= 2.0
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
            rooms = self._rooms(dt.shape[1])
            rooms[0].given.copy_(x)
            for weights, room in zip(self._layers, rooms, strict=True):
                room.before.copy_(before[room.units])
                torch.mm(weights, room.joined, out=room.y)
                torch.addcmul(room.b, room.gate, dt, out=room.gate)
                room.squashed.sigmoid_()
                if self._gated:
                    torch.lerp(room.f1, room.f2, room.gate, out=room.handed_on)
                else:
                    room.f2.sub_(0.5)
                    torch.addcmul(room.f1, room.f2, room.gate, out=room.handed_on)
                torch.add(self._minus_one, room.handed_on, alpha=2.0, out=after[room.units])

    def _rooms(self, columns: int) -> list[_Room]:
        """Arrays of every layer, `columns` rows wide."""
        if getattr(self._local, "columns", None) != columns:
            rooms: list[_Room] = []
            for weights in reversed(self._layers):
                rooms.append(_Room(weights, columns, rooms[-1].given if rooms else None))
            first = 0
            for room in reversed(rooms):
                room.units = slice(first, first + len(room.f1))
                first += len(room.f1)
            self._local.rooms, self._local.columns = rooms[::-1], columns
        return self._local.rooms  # type: ignore[no-any-return]


class _Room:
    """A layer's arrays of one tile, and views of them: a view costs as much as a small sum.

    Args:
        weights: The layer's, `(4 n, F + n + 1)`.
        columns: Rows of the tile.
        handed_on: Array that receives the neurons, `(n, columns)`: part of the next layer's input.
    """

    units: slice  # its neurons among all

    def __init__(self, weights: Any, columns: int, handed_on: Any) -> None:
        outputs, inputs = weights.shape
        n = outputs // 4
        self.joined = torch.ones((inputs, columns), device=weights.device)  # the last row stays
        self.given = self.joined[: inputs - n - 1]
        self.before = self.joined[inputs - n - 1 : -1]
        self.y = torch.empty((outputs, columns), device=weights.device)
        self.f1, self.f2, self.gate, self.b = self.y.split(n)
        self.squashed = self.y[: 3 * n]
        self.handed_on = self.f1 if handed_on is None else handed_on
