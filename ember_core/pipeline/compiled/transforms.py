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
    for c in range(n_channels):  # a loop over one kind is done on several values at once
        if kind[c] == ASINH:
            for row in range(n_rows):
                scaled = (0.0 if x[row, c] < 0.0 else x[row, c]) / width[c]
                out[row, c] = wide_log(scaled + np.sqrt(scaled * scaled + 1.0))
        elif kind[c] == ROOT:
            for row in range(n_rows):
                out[row, c] = np.sqrt((0.0 if x[row, c] < 0.0 else x[row, c]) + _ROOT_SHIFT)
        else:
            for row in range(n_rows):
                out[row, c] = x[row, c]


@compiled
def invert_columns(kind: Any, width: Any, y: Any) -> None:
    """Put the values in place of transformed ones; NaN stays NaN.

    Args:
        kind: Kind of each channel's transform, `(C,)`: 0, 1 or 2.
        width: Width of its `asinh`, `(C,)`, float64.
        y: Transformed values, `(R, C)`, float64, written to.
    """
    n_rows, n_channels = y.shape
    for c in range(n_channels):
        if kind[c] == ASINH:
            for row in range(n_rows):
                bounded = 0.0 if y[row, c] < 0.0 else y[row, c]
                grown = wide_exp(_MOST_EXPONENT if bounded > _MOST_EXPONENT else bounded)
                y[row, c] = 0.5 * (grown - 1.0 / grown) * width[c]
        elif kind[c] == ROOT:
            for row in range(n_rows):
                bounded = _LEAST_ROOT if y[row, c] < _LEAST_ROOT else y[row, c]
                y[row, c] = bounded * bounded - _ROOT_SHIFT
