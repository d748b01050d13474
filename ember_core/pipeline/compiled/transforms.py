"""Transforms of the values of rows, with the bits of `Transforms`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.evidence.transforms import ASINH, ROOT

from .compiler import compiled
from .elementary import wide_exp, wide_log

_ROOT_SHIFT = 0.375
_LEAST_ROOT = float(np.sqrt(_ROOT_SHIFT))
_MOST_EXPONENT = 700.0


@compiled
def transform_columns(x: Any, kind: Any, width: Any, out: Any) -> None:
    """Transform values; NaN stays NaN.

    Args:
        x: The values, `(R, C)`, float64.
        kind: Kind of each channel's transform, `(C,)`: 0, 1 or 2.
        width: Width of its `asinh`, `(C,)`, float64.
        out: Transformed values, `(R, C)`, float64, written to.
    """
    n_rows, n_channels = x.shape
    column = np.empty(n_rows)  # side by side, numbers are transformed several at once
    for c in range(n_channels):
        scale = width[c]
        for row in range(n_rows):
            column[row] = x[row, c]
        if kind[c] == ASINH:
            for row in range(n_rows):
                scaled = (0.0 if column[row] < 0.0 else column[row]) / scale
                column[row] = wide_log(scaled + np.sqrt(scaled * scaled + 1.0))
        elif kind[c] == ROOT:
            for row in range(n_rows):
                positive = 0.0 if column[row] < 0.0 else column[row]
                column[row] = np.sqrt(positive + _ROOT_SHIFT)
        for row in range(n_rows):
            out[row, c] = column[row]


@compiled
def invert_columns(kind: Any, width: Any, y: Any) -> None:
    """Put the values in place of transformed ones; NaN stays NaN.

    Args:
        kind: Kind of each channel's transform, `(C,)`: 0, 1 or 2.
        width: Width of its `asinh`, `(C,)`, float64.
        y: Transformed values, `(R, C)`, float64, written to.
    """
    n_rows, n_channels = y.shape
    column = np.empty(n_rows)
    for c in range(n_channels):
        scale = width[c]
        if kind[c] != ASINH and kind[c] != ROOT:
            continue
        for row in range(n_rows):
            column[row] = y[row, c]
        if kind[c] == ASINH:
            for row in range(n_rows):
                bounded = 0.0 if column[row] < 0.0 else column[row]
                grown = wide_exp(_MOST_EXPONENT if bounded > _MOST_EXPONENT else bounded)
                column[row] = 0.5 * (grown - 1.0 / grown) * scale
        else:
            for row in range(n_rows):
                bounded = _LEAST_ROOT if column[row] < _LEAST_ROOT else column[row]
                column[row] = bounded * bounded - _ROOT_SHIFT
        for row in range(n_rows):
            y[row, c] = column[row]
