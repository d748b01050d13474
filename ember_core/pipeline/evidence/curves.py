"""Severity of statistics of any kind on one scale: how rarely a key and day has their like.

Each statistic has a table of its severity over the logarithm of its size, learnt from the peaks of
training (`pipeline.fit.currency`). Severity 2 is once in 100 days of a key.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ember_core import ops
from ember_core.nn import Module

GRID_POINTS: Final = 65
GRID_LOW: Final = -1.5
GRID_HIGH: Final = float(np.log(64.0))
GRID_STEP: Final = (GRID_HIGH - GRID_LOW) / (GRID_POINTS - 1)
"""Points of every table: evenly spaced in the natural logarithm of the statistic."""
_SMALLEST, _LARGEST = float(np.exp(GRID_LOW)), float(np.exp(GRID_HIGH))
# Rows at a time: intermediate arrays then stay in a processor's cache (2.5 times faster).
_TILE_ROWS = 512


class SeverityCurves(Module):
    """Severity of statistics, by linear interpolation of their tables in the log of the statistic.

    Args:
        n_statistics: Number of statistics `J`.

    Attributes:
        tables: Buffer `(J, 65)`, float32: severity at each point of the grid.
    """

    n_statistics: int
    tables: Any

    def __init__(self, n_statistics: int) -> None:
        self.n_statistics = n_statistics
        self.register_buffer("tables", ops.zeros((n_statistics, GRID_POINTS)))

    @property
    def reachable(self) -> float:
        """Largest severity that any statistic can have."""
        return float(ops.max(self.tables))

    def forward(self, u: Any) -> Any:
        """Return the severity of statistics.

        Args:
            u: Statistics `(R, J)`, float32, NaN-free, over the usual for the key. Outside the
                grid, at 0 and below too, the table's end counts.

        Returns:
            `(R, J)`, float32; the bits of a row do not depend on the others.
        """
        if ops.device(u) != "cpu" or len(u) <= _TILE_ROWS:
            return self._interpolate(u)
        starts = range(0, len(u), _TILE_ROWS)
        return ops.concatenate([self._interpolate(u[i : i + _TILE_ROWS]) for i in starts])

    def _interpolate(self, u: Any) -> Any:
        position = (ops.log(ops.clip(u, _SMALLEST, _LARGEST)) - GRID_LOW) * (1.0 / GRID_STEP)
        point = ops.minimum(ops.floor(position), GRID_POINTS - 2.0)
        share = position - point
        first = ops.arange(self.n_statistics, dtype="int32", like=u) * GRID_POINTS
        index = ops.maximum(ops.astype(point, "int32"), 0) + first[None, :]
        table = ops.reshape(self.tables, (-1,))
        lower = ops.take(table, index)
        return lower + share * (ops.take(table, index + 1) - lower)
