"""Centre and scale of the channels of rows, with the bits of `Normaliser.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.normaliser import RANGE_FLOOR, Normaliser
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .columns import KeyColumn
from .compiler import compiled
from .parameters import prepared

_FIELDS = ("norm_mean", "norm_var", "norm_low", "norm_high", "norm_count")
_PRIORS = ("prior_rows", "mean_rows", "least", "most")
_NO_MOMENTS = (*(np.empty((0, 1)) for _ in range(4)), np.empty((0, 1), np.int32))
_TINY, _TINY_SHARE = 1e-9, 1e-3  # of a channel that never moved


@compiled
def learn_moments(fields: Any, k: Any, c: Any, value: Any, priors: Any) -> None:
    """Learn one value of a channel.

    Args:
        fields: Mean, variance, smallest and largest value, and number of values, `(K, C)` each,
            written to.
        k: The key.
        c: The channel.
        value: The value, finite.
        priors: Values that the variance and the mean a key begins with count as, and the smallest
            and the largest value that is learnt, `(C,)` each, float64.
    """
    means, variances, lows, highs, counts = fields
    prior_rows, mean_rows, least, most = priors
    x = least[c] if value < least[c] else value
    x = most[c] if x > most[c] else x
    counts[k, c] += 1
    count = np.float64(counts[k, c])
    rows, total = count + mean_rows[c], count + prior_rows[c]
    share = 1.0 / (1.0 if total < 1.0 else total)
    mean, variance = means[k, c], variances[k, c]
    delta = x - mean
    mean += 1.0 / (1.0 if rows < 1.0 else rows) * delta
    means[k, c] = mean
    if count == 1.0:
        variances[k, c] = (1.0 - share) * variance
        lows[k, c] = highs[k, c] = x
    else:
        variances[k, c] = variance + share * (delta * (x - mean) - variance)
        lows[k, c] = lows[k, c] if lows[k, c] < x else x
        highs[k, c] = highs[k, c] if highs[k, c] > x else x


@compiled
def follow_normaliser(
    key: Any, x: Any, warming: Any, fields: Any, priors: Any, clip: Any, moments: Any, out: Any
) -> None:
    """Normalise rows in their order; keys that warm up learn them first.

    Args:
        key: Key of each row, `(R,)`, int64.
        x: The values, `(R, C)`, float64; NaN where missing.
        warming: True where the key learns, `(R,)`.
        fields: Fields of the keys as `learn_moments` has them, written to where a key learns.
        priors: Buffers of the stage as `learn_moments` has them.
        clip: Largest departure, float64.
        moments: The fields after each row, `(R, C)` each, written to; of no rows: nothing learns.
        out: Normalised rows, `(R, C)`, float32, written to.
    """
    means, variances, lows, highs, counts = fields
    keeps = moments[0].size > 0
    n_rows, n_channels = x.shape
    for row in range(n_rows):
        k = key[row]
        if warming[row]:
            for c in range(n_channels):
                if np.isfinite(x[row, c]):
                    learn_moments(fields, k, c, x[row, c], priors)
        for c in range(n_channels):
            mean, variance = means[k, c], variances[k, c]
            usual = np.sqrt(0.0 if variance < 0.0 else variance)
            floor = RANGE_FLOOR * (highs[k, c] - lows[k, c])
            usual = floor if floor > usual else usual
            usual = usual if usual > 0.0 else _TINY + _TINY_SHARE * abs(mean)
            z = (x[row, c] - mean) / usual
            z = -clip if z < -clip else z
            out[row, c] = np.float32(clip if z > clip else z)
        if keeps:
            for c in range(n_channels):
                moments[0][row, c], moments[1][row, c] = means[k, c], variances[k, c]
                moments[2][row, c], moments[3][row, c] = lows[k, c], highs[k, c]
                moments[4][row, c] = counts[k, c]


def _priors(stage: Normaliser) -> tuple[Any, ...]:
    """Return the stage's buffers in float64."""
    return tuple(contiguous(getattr(stage, name), np.float64) for name in _PRIORS)


def normalise(
    stage: Normaliser, state: State, x: Any, observation: Observation
) -> tuple[State, Any]:
    """Normalise rows; arguments and result as `Normaliser.forward` has them."""
    packed, learns = observation.packed, np.count_nonzero(observation.warming) > 0
    priors = prepared(stage, tuple(getattr(stage, name) for name in _PRIORS), _priors)
    if learns:
        fields = {name: state[name].copy() for name in _FIELDS}
    else:
        fields = {name: contiguous(state[name], state[name].dtype) for name in _FIELDS}
    moments = _NO_MOMENTS
    if learns:
        moments = tuple(np.empty(x.shape, field.dtype) for field in fields.values())
    values, warming = contiguous(x, np.float64), contiguous(observation.warming, np.bool_)
    out = np.empty(x.shape, np.float32)
    current, clip = tuple(fields.values()), float(stage.clip)
    follow_normaliser(packed.key, values, warming, current, priors, clip, moments, out)
    if learns:
        observation.moments = dict(zip(_FIELDS, moments, strict=True))
        return fields, out
    observation.moments = {name: KeyColumn(value, packed.key) for name, value in fields.items()}
    # The very same arrays, so that a caller need not write them back.
    return {name: state[name] for name in _FIELDS}, out
