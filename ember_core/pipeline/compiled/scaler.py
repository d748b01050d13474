"""Scales of features, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.observation import Observation
from ember_core.pipeline.scaler import CLIP, FLOOR, SETTLING_ROWS, FeatureScaler
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .compiler import compiled
from .elementary import larger, smaller

_F = np.float32
_ZERO, _ONE = _F(0.0), _F(1.0)
_CLIP, _FLOOR = _F(CLIP), _F(FLOOR)


@compiled
def scale_rows(
    key: Any,
    mean: Any,
    variance: Any,
    features: Any,
    rows: Any,
    warming: Any,
    heavy: Any,
    prior_rows: Any,
    scaled: Any,
) -> None:
    """Let keys that warm up learn their moments in place, and write the scaled features.

    Args:
        key: Key of each row, `(R,)`.
        mean: `(K, D)`.
        variance: `(K, D)`.
        features: `(R, D)`.
        rows: `(R,)`.
        warming: `(R,)`.
        heavy: `(D,)`.
        prior_rows: `(D,)`.
        scaled: Output, `(R, D)` or wider: its first columns become the scaled features.
    """
    for r in range(key.size):
        k = key[r]
        if warming[r] and rows[r] >= SETTLING_ROWS:
            count = np.float64(rows[r]) - (SETTLING_ROWS - 1.0)
            weight = _F(1.0 / max(count, 1.0))
            for d in range(heavy.size):
                w = weight / (_ONE + weight * prior_rows[d])
                delta = features[r, d] - mean[k, d]
                average = mean[k, d] + w * delta
                spread = delta * (features[r, d] - average)
                mixed = variance[k, d] * (_ONE - w) + w * spread
                mean[k, d] = average
                variance[k, d] = _ZERO * spread if w >= _ONE else mixed
        for d in range(heavy.size):
            std = np.sqrt(larger(variance[k, d], _ZERO))
            std = larger(std, _FLOOR) * heavy[d]
            scaled[r, d] = smaller(larger((features[r, d] - mean[k, d]) / std, -_CLIP), _CLIP)


def feature_scaler(
    stage: FeatureScaler, state: State, x: Any, observation: Observation
) -> tuple[State, Any]:
    """Run `FeatureScaler.forward` on NumPy's arrays."""
    observation.raw = x
    mean, variance = np.array(state["feature_mean"]), np.array(state["feature_var"])
    scaled = np.empty(x.shape, _F)
    scale_rows(
        observation.packed.key,
        mean,
        variance,
        contiguous(x),
        contiguous(observation.rows, np.int64),
        contiguous(observation.warming, np.bool_),
        contiguous(stage.heavy),
        contiguous(stage.prior_rows),
        scaled,
    )
    return {"feature_mean": mean, "feature_var": variance}, scaled
