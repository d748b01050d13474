"""Exponential windows, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State
from ember_core.pipeline.windows import ExponentialWindows

from .arrays import contiguous
from .compiler import compiled
from .elementary import exp_all

_F = np.float32
_ONE = _F(1.0)
_AHEAD = 64  # rows whose exponentials are taken together


@compiled
def follow_windows(
    key: Any,
    ewma: Any,
    ewvar: Any,
    z: Any,
    elapsed: Any,
    first: Any,
    rate: Any,
    levels: Any,
    features: Any,
) -> None:
    """Update averages and variances in place, and write the features of each row.

    Args:
        key: Key of each row, `(R,)`.
        ewma: `(K, S, C)`.
        ewvar: `(K, S, C)`.
        z: `(R, C)`.
        elapsed: `(R,)`.
        first: `(R,)`.
        rate: Logarithm of the share that an average keeps in one interval, `(S,)`.
        levels: Whether the last average is a feature.
        features: Output, `(R, D)` or wider: its first columns become the features.
    """
    strides, channels = rate.size, z.shape[1]
    deviations = channels * (1 + strides)
    keep = np.empty(_AHEAD * strides, _F)
    average, departure = np.empty(channels, _F), np.empty(channels, _F)
    variance = np.empty(channels, _F)
    for base in range(0, key.size, _AHEAD):
        ahead = min(_AHEAD, key.size - base)
        for i in range(ahead):
            for s in range(strides):
                keep[i * strides + s] = elapsed[base + i] * rate[s]
        exp_all(keep, ahead * strides)
        for i in range(ahead):
            r = base + i
            k = key[r]
            for c in range(channels):
                features[r, c] = z[r, c]
            for s in range(strides):
                share = keep[i * strides + s]
                gain = _ONE - share
                if first[r]:
                    for c in range(channels):
                        average[c] = z[r, c]
                else:
                    for c in range(channels):
                        average[c] = ewma[k, s, c]
                for c in range(channels):
                    departure[c] = z[r, c] - average[c]
                for c in range(channels):
                    average[c] = average[c] + gain * departure[c]
                    ewma[k, s, c] = average[c]
                for c in range(channels):
                    square = gain * departure[c] * departure[c]
                    variance[c] = share * (ewvar[k, s, c] + square)
                    ewvar[k, s, c] = variance[c]
                departures = channels * (1 + s)
                for c in range(channels):
                    features[r, departures + c] = share * departure[c]
                for c in range(channels):
                    features[r, deviations + s * channels + c] = np.sqrt(variance[c])
            if levels:
                level = deviations + strides * channels
                for c in range(channels):
                    features[r, level + c] = average[c]


def exponential_windows(
    stage: ExponentialWindows, state: State, x: Any, observation: Observation
) -> tuple[State, Any]:
    """Run `ExponentialWindows.forward` on NumPy's arrays."""
    fields = {name: np.array(state[name]) for name in ("ewma", "ewvar")}
    features = np.empty((len(x), stage.n_features), _F)
    follow_windows(
        observation.packed.key,
        fields["ewma"],
        fields["ewvar"],
        contiguous(x),
        contiguous(observation.elapsed),
        contiguous(observation.first, np.bool_),
        contiguous(stage.rate),
        stage.levels,
        features,
    )
    return fields, features
