"""Severity of statistics of any kind on one scale: how rarely a key and day has their like.

Each statistic has a table of its severity over the logarithm of its size, learnt from the peaks of
training (`pipeline.fit.currency`). Severity 2 is once in 100 days of a key.
"""

from __future__ import annotations

from collections.abc import Callable
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
_MARGIN = 0.01  # points of the grid: far more than the rounding of a logarithm


class SeverityCurves(Module):
    """Severity of statistics, by linear interpolation of their tables in the log of the statistic.

    Args:
        n_statistics: Number of statistics `J`.

    Attributes:
        tables: Buffer `(J, 65)`, float32: severity at each point of the grid; it never falls. Most
            statistics are in the flat beginning of their table, where nothing is computed.
    """

    n_statistics: int
    tables: Any

    def __init__(self, n_statistics: int) -> None:
        self.n_statistics = n_statistics
        self._ends: Any = None
        self.register_buffer("tables", ops.zeros((n_statistics, GRID_POINTS)))

    @property
    def reachable(self) -> float:
        """Largest severity that any statistic can have."""
        return float(ops.max(self.tables))

    def arrays_changed(self) -> None:
        """Drop what follows from the tables."""
        self._ends = None

    def forward(self, u: Any, first: int = 0) -> Any:
        """Return the severity of statistics.

        Args:
            u: Statistics `(R, N)`, float32, NaN-free, over the usual for the key. Outside the
                grid, at 0 and below too, the table's end counts.
            first: Table of the first statistic; those of the others follow.

        Returns:
            `(R, N)`, float32; the bits of a row do not depend on the others.
        """
        count = ops.shape(u)[1]
        if ops.backend_name(u) != "numpy":
            tables = first + ops.arange(count, dtype="int32", like=u)
            return self._interpolate(u, tables[None, :])
        ends, levels = (end[first : first + count] for end in self._rise())
        return self._where(u, u > levels, ends, lambda i: first + i % count)

    def signed(self, x: Any) -> Any:
        """Return the severity of signed statistics: the larger one of their two sides.

        Args:
            x: Statistics `(R, N)`, float32, NaN-free. The tables are in pairs: that of the first
                statistic above the usual one, that below it, and so on.
        """
        if ops.backend_name(x) != "numpy":
            sides = ops.reshape(ops.stack([x, -x], axis=-1), (len(x), -1))
            pairs = ops.reshape(self.forward(sides), (len(x), -1, 2))
            return ops.maximum(pairs[..., 0], pairs[..., 1])
        count = x.shape[1]
        ends, levels = (end[: 2 * count].reshape(count, 2) for end in self._rise())
        least, size, flat = ends.max(axis=1), np.abs(x), x.reshape(-1)
        rises = size > levels.min(axis=1)
        severity = self._where(size, rises, least, lambda i: 2 * (i % count) + (flat[i] < 0))
        return np.maximum(severity, least)

    def _where(self, u: Any, rises: Any, ends: Any, table_of: Callable[[Any], Any]) -> Any:
        """Return the severity of statistics, of which few are past the flat beginning."""
        severity = np.empty(u.shape, np.float32)
        severity[...] = ends
        index = np.flatnonzero(rises)
        values = self._interpolate(u.reshape(-1)[index], table_of(index))
        severity.reshape(-1)[index] = values
        return severity

    def _rise(self) -> tuple[Any, Any]:
        """Return the severity at the beginning of each table, and up to where it stays, `(J,)`."""
        if self._ends is None:
            flat = (self.tables == self.tables[:, :1]).cumprod(axis=1).sum(axis=1)
            points = GRID_LOW + GRID_STEP * (flat - 1.0 - _MARGIN)
            levels = np.where(flat > 1, np.exp(points), -np.inf).astype(np.float32)
            self._ends = self.tables[:, 0].copy(), levels
        return self._ends

    def _interpolate(self, u: Any, table: Any) -> Any:
        """Return the severity of statistics by the tables of these numbers."""
        position = (ops.log(ops.clip(u, _SMALLEST, _LARGEST)) - GRID_LOW) * (1.0 / GRID_STEP)
        point = ops.minimum(ops.floor(position), GRID_POINTS - 2.0)
        share = position - point
        index = ops.maximum(ops.astype(point, "int32"), 0) + table * GRID_POINTS
        flat = ops.reshape(self.tables, (-1,))
        lower = ops.take(flat, index)
        return lower + share * (ops.take(flat, index + 1) - lower)
