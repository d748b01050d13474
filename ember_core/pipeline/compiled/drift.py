"""Following of level and size of the channels of rows, with the bits of `Drift.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.drift import FAR, MANY, SMALLEST, Drift
from ember_core.pipeline.normaliser import CLIP
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .compiler import compiled
from .elementary import exp32

_F = np.float32
_ZERO, _ONE, _MINUS_TWO, _INFINITE = _F(0.0), _F(1.0), _F(-2.0), _F(np.inf)
_FAR, _SMALLEST, _CLIP = _F(FAR), _F(SMALLEST), _F(CLIP)
_LN2 = float(np.log(2.0))


@compiled
def _clip(x: Any, most: Any) -> Any:
    """Return a number within `-most` and `most`; NaN stays NaN."""
    x = -most if x < -most else x
    return most if x > most else x


@compiled
def follow_drift(key: Any, z: Any, elapsed: Any, fields: Any, rule: Any, out: Any) -> None:
    """Take the drift off rows in their order, and write the fields of their keys.

    Args:
        key: Key of each row, `(R,)`, int64.
        z: Normalised rows, `(R, C)`, float32; NaN where missing.
        elapsed: Usual intervals since the key's row before, `(R,)`, float32.
        fields: Size in training, size now and level, `(K, C)` each, and time of standing still,
            `(K,)`; all but the first are written to.
        rule: Logarithm of the share that is kept in a usual interval; longest time of standing
            still; and the number of channels that is far off in an incident; float32 each.
        out: Rows without drift, `(R, C)`, float32, written to.
    """
    usual_size, sizes, levels, hold_times = fields
    rate, longest_hold, many_far = rule
    n_rows, n_channels = z.shape
    gains = np.empty(n_rows, np.float32)
    for row in range(n_rows):
        gains[row] = _ONE - exp32(rate * elapsed[row])
    for row in range(n_rows):
        k, far_count = key[row], _ZERO
        for c in range(n_channels):
            usual, present = usual_size[k, c], np.isfinite(z[row, c])
            floor = _SMALLEST if usual < _SMALLEST else usual
            growth = sizes[k, c] / (floor if usual > _ZERO else _INFINITE)
            distance = z[row, c] - levels[k, c] if present else _ZERO
            departure = _clip(distance / (_ONE if growth < _ONE else growth), _CLIP)
            far_count += _ONE if abs(departure) > _FAR else _ZERO
            out[row, c] = departure if present else _F(np.nan)
        is_incident = far_count > many_far
        hold = hold_times[k] + (elapsed[row] if is_incident else _MINUS_TWO * elapsed[row])
        hold_times[k] = hold = hold if hold > _ZERO else _ZERO
        gain_of_row = _ZERO if is_incident and hold <= longest_hold else gains[row]
        for c in range(n_channels):
            present = np.isfinite(z[row, c])
            gain = gain_of_row if present and usual_size[k, c] > _ZERO else _ZERO
            level, size = levels[k, c], sizes[k, c]
            distance = z[row, c] - level if present else _ZERO
            largest = abs(distance)
            largest = _CLIP if largest > _CLIP else largest
            levels[k, c] = level + gain * _clip(distance, _FAR)
            sizes[k, c] = size + gain * (largest - size)


def drift(stage: Drift, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
    """Return rows without drift; arguments and result as `Drift.forward` has them."""
    usual = contiguous(state["drift_usual"])
    new = {name: state[name].copy() for name in ("drift_size", "drift_level", "drift_held")}
    rule = (
        _F(-_LN2 / stage.half_life),
        _F(stage.longest_hold),
        _F(MANY * stage.n_channels),
    )
    z, elapsed = contiguous(x), contiguous(observation.elapsed)
    out = np.empty_like(z)
    follow_drift(observation.packed.key, z, elapsed, (usual, *new.values()), rule, out)
    return new | {"drift_usual": state["drift_usual"]}, out
