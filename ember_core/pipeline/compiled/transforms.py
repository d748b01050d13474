"""Transforms of single values, with the bits of `Transforms` on arrays."""

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
def transform(x: Any, kind: Any, width: Any) -> Any:
    """Return a transformed value, float64; NaN stays NaN.

    Args:
        x: The value, float64.
        kind: Kind of the channel's transform: 0, 1 or 2.
        width: Width of its `asinh`, float64.
    """
    positive = 0.0 if x < 0.0 else x
    if kind == ASINH:
        scaled = positive / width
        return wide_log(scaled + np.sqrt(scaled * scaled + 1.0))
    return np.sqrt(positive + _ROOT_SHIFT) if kind == ROOT else x


@compiled
def inverse(y: Any, kind: Any, width: Any) -> Any:
    """Return the value that has a transformed one, float64.

    Args:
        y: The transformed value, float64; NaN stays NaN.
        kind: Kind of the channel's transform: 0, 1 or 2.
        width: Width of its `asinh`, float64.
    """
    if kind == ASINH:
        bounded = 0.0 if y < 0.0 else y
        bounded = _MOST_EXPONENT if bounded > _MOST_EXPONENT else bounded
        grown = wide_exp(bounded)
        return 0.5 * (grown - 1.0 / grown) * width
    if kind == ROOT:
        bounded = _LEAST_ROOT if y < _LEAST_ROOT else y
        return bounded * bounded - _ROOT_SHIFT
    return y
