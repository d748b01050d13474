"""Missing channels of rows filled, with the bits of `GapFiller.forward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.gaps import GapFiller
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .compiler import compiled

_F = np.float32
_ZERO = _F(0.0)


@compiled
def follow_gaps(key: Any, z: Any, elapsed: Any, fields: Any, max_gap: Any, out: Any) -> None:
    """Fill the gaps of rows in their order, and write the fields of their keys.

    Args:
        key: Key of each row, `(R,)`, int64.
        z: Normalised rows, `(R, C)`, float32; NaN where missing.
        elapsed: Usual intervals since the key's row before, `(R,)`, float32.
        fields: Last value of each channel, and its age, `(K, C)` each, written to.
        max_gap: Age up to which the last value holds, float32.
        out: Filled rows, `(R, C)`, float32, written to.
    """
    carried, ages = fields
    n_rows, n_channels = z.shape
    for row in range(n_rows):
        k = key[row]
        for c in range(n_channels):
            value = z[row, c]
            if np.isfinite(value):
                carried[k, c], ages[k, c] = value, _ZERO
            else:
                age = ages[k, c] + elapsed[row]
                ages[k, c] = age
                value = carried[k, c] if age <= max_gap else _ZERO * carried[k, c]
            out[row, c] = value


def gaps(stage: GapFiller, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
    """Fill the gaps of rows; arguments and result as `GapFiller.forward` has them."""
    new = {name: state[name].copy() for name in ("carried", "age")}
    max_gap = np.inf if observation.config is None else observation.config.max_gap
    z, elapsed = contiguous(x), contiguous(observation.elapsed)
    observation.z = out = np.empty_like(z)
    follow_gaps(observation.packed.key, z, elapsed, tuple(new.values()), _F(max_gap), out)
    return new, out
