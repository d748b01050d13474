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
        self._known: dict[Any, tuple[Any, Any]] = {}
        self.register_buffer("tables", ops.zeros((n_statistics, GRID_POINTS)))

    @property
    def reachable(self) -> float:
        """Largest severity that any statistic can have."""
        return float(ops.max(self.tables))

    def arrays_changed(self) -> None:
        """Drop the beginnings of the tables."""
        self._known = {}

    def forward(self, u: Any) -> Any:
        """Return the severity of statistics.

        Args:
            u: Statistics `(R, J)`, float32, NaN-free, over the usual for the key. Outside the
                grid, at 0 and below too, the table's end counts.

        Returns:
            `(R, J)`, float32; the bits of a row do not depend on the others.
        """
        return self.signed(ops.maximum(u, 0.0), tuple(range(self.n_statistics)), 0)

    def signed(self, x: Any, tables: tuple[int, ...], pairs: int) -> Any:
        """Return the severity of statistics of which some are signed.

        Args:
            x: Statistics `(R, N)`, float32, NaN-free.
            tables: Number of the table of each.
            pairs: Signed statistics, which are the first ones; the others are not below 0. The
                table of a negative one comes after that of a positive one. The larger one of the
                two counts, and that of nothing at all is the least.
        """
        size = ops.abs(x)
        if ops.backend_name(x) != "numpy":
            upper_tables = np.array(tables, np.int32)
            lower_tables = upper_tables + (np.arange(len(tables)) < pairs).astype(np.int32)
            upper_tables, lower_tables = (
                ops.from_numpy(side, like=x) for side in (upper_tables, lower_tables)
            )
            ends = self.tables[:, 0]
            least = ops.maximum(ops.take(ends, upper_tables), ops.take(ends, lower_tables))
            chosen_tables = ops.where(x < 0, lower_tables[None, :], upper_tables[None, :])
            return ops.maximum(self._interpolate(size, chosen_tables), least)
        least, levels = self.beginnings(tables, pairs)
        # Most statistics are in the flat beginning of their table.
        index = np.flatnonzero(size > levels)
        severity = np.empty(x.shape, np.float32)
        severity[...] = least
        column = index % len(tables)
        chosen_tables = np.asarray(tables)[column] + (x.reshape(-1)[index] < 0)
        values = self._interpolate(size.reshape(-1)[index], chosen_tables)
        severity.reshape(-1)[index] = np.maximum(values, least[column])
        return severity

    def beginnings(self, tables: tuple[int, ...], pairs: int) -> tuple[Any, Any]:
        """Return the least severity of statistics, and the size up to which they have it.

        Arguments as `signed` has them.

        Returns:
            Both `(N,)`, float32; NumPy's arrays only.
        """
        if (tables, pairs) not in self._known:
            flat = (self.tables == self.tables[:, :1]).cumprod(axis=1).sum(axis=1)
            points = GRID_LOW + GRID_STEP * (flat - 1.0 - _MARGIN)
            levels = np.where(flat > 1, np.exp(points), -np.inf).astype(np.float32)
            upper_tables = np.asarray(tables)
            lower_tables = upper_tables + (np.arange(len(tables)) < pairs)
            ends = self.tables[:, 0]
            least = np.maximum(ends[upper_tables], ends[lower_tables])
            self._known[tables, pairs] = (
                least,
                np.minimum(levels[upper_tables], levels[lower_tables]),
            )
        return self._known[tables, pairs]

    def _interpolate(self, u: Any, table: Any) -> Any:
        """Return the severity of statistics by the tables of these numbers."""
        position = (ops.exact_log(ops.clip(u, _SMALLEST, _LARGEST)) - GRID_LOW) * (1.0 / GRID_STEP)
        point = ops.minimum(ops.floor(position), GRID_POINTS - 2.0)
        share = position - point
        index = ops.maximum(ops.astype(point, "int32"), 0) + table * GRID_POINTS
        flat = ops.reshape(self.tables, (-1,))
        lower = ops.take(flat, index)
        return lower + share * (ops.take(flat, index + 1) - lower)
