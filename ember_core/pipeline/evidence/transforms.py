"""Transforms that make the spread of a channel independent of its level."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ember_core import ops
from ember_core.nn import Module

ASINH: Final = 1
ROOT: Final = 2


class Transforms(Module):
    """One transform a channel: the value itself, `asinh(x / width)`, or `sqrt(x + 3/8)`.

    The last two are for channels without negative values: rates and times, whose spread grows with
    the level, and small counts (Anscombe 1948).

    Args:
        n_channels: Number of channels `C`.

    Attributes:
        kind: Buffer `(C,)`: 0, 1 or 2.
        width: Buffer `(C,)`: value below which `asinh` is nearly linear, in the channel's unit.
    """

    kind: Any
    width: Any

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.register_buffer("kind", ops.zeros((n_channels,)))
        self.register_buffer("width", ops.ones((n_channels,)))

    def forward(self, x: Any) -> Any:
        """Transform values `(R, C)`, float64; NaN stays NaN."""
        if not bool(ops.any(self.kind > 0)):
            return x
        positive = ops.maximum(x, 0.0)
        scaled = positive / ops.astype(self.width, "float64")
        curved = ops.wide_log(scaled + ops.sqrt(scaled * scaled + 1.0))
        root = ops.sqrt(positive + 0.375)
        return ops.where(self.kind == ASINH, curved, ops.where(self.kind == ROOT, root, x))

    def inverse(self, y: Any) -> Any:
        """Return the values `(R, C)`, float64, in the channels' own units."""
        if not bool(ops.any(self.kind > 0)):
            return y
        floor = ops.where(self.kind == ROOT, float(np.sqrt(0.375)), 0.0)
        bounded = ops.minimum(ops.maximum(y, floor), 700.0)
        grown = ops.wide_exp(bounded)
        curved = 0.5 * (grown - 1.0 / grown) * ops.astype(self.width, "float64")
        bounded_root = ops.maximum(y, floor)
        root = bounded_root * bounded_root - 0.375
        return ops.where(self.kind == ASINH, curved, ops.where(self.kind == ROOT, root, y))
