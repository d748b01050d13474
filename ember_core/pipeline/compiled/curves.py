"""Severity of single statistics, with the bits of `SeverityCurves.signed`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.evidence.curves import GRID_HIGH, GRID_LOW, GRID_POINTS, GRID_STEP

from .compiler import compiled
from .elementary import log32

_F = np.float32
_ZERO = _F(0.0)
_LOW, _PER_STEP = _F(GRID_LOW), _F(1.0 / GRID_STEP)
_SMALLEST, _LARGEST = _F(np.exp(GRID_LOW)), _F(np.exp(GRID_HIGH))
_LAST_POINT = _F(GRID_POINTS - 2.0)


@compiled
def grid_place(size: Any) -> Any:
    """Return the point of the grid below a size, and the way from it to the next point.

    Args:
        size: Statistic without its sign, float32, NaN-free.
    """
    bounded = size if size > _SMALLEST else _SMALLEST
    bounded = bounded if bounded < _LARGEST else _LARGEST
    position = (log32(bounded) - _LOW) * _PER_STEP
    point = np.floor(position)
    point = point if point < _LAST_POINT else _LAST_POINT
    index = np.int64(point)
    # The logarithm of the first point may round to just below the grid.
    return index if index > 0 else np.int64(0), position - point


@compiled
def severity_of(tables: Any, number: Any, x: Any, level: Any, least: Any) -> Any:
    """Return the severity of one statistic, a float32.

    Args:
        tables: Severity of every statistic at each point of the grid, `(J, 65)`, float32.
        number: Number of the statistic's table; a negative statistic has the one after it.
        x: The statistic, float32, NaN-free.
        level: Size up to which it has its least severity: of `SeverityCurves.beginnings`.
        least: That severity.
    """
    size = -x if x < _ZERO else x
    if not size > level:
        return least
    if x < _ZERO:
        number += 1
    index, share = grid_place(size)
    lower = tables[number, index]
    severity = lower + share * (tables[number, index + 1] - lower)
    return severity if severity > least else least
