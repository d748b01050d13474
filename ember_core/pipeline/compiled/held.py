"""Rows that averages follow where a side does not count, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.liquid import HELD, LiquidNetwork
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .compiler import compiled
from .elementary import exp32, larger, smaller

_F = np.float32
_ONE, _HELD = _F(1.0), _F(HELD)


@compiled
def hold_rows(
    key: Any,
    anchor: Any,
    z: Any,
    elapsed: Any,
    first: Any,
    low: Any,
    high: Any,
    fading: Any,
    held: Any,
) -> None:
    """Write the rows that averages follow where a side does not count.

    Args:
        key: Key of each row, `(R,)`.
        anchor: Slow averages, `(K, C)`; they become those of the rows that are held.
        z: `(R, C)`.
        elapsed: `(R,)`.
        first: `(R,)`.
        low: 0 where departures below do not count, `(R, C)`.
        high: 0 where departures above do not.
        fading: Logarithm of the share that the slow average keeps in one interval.
        held: Output, `(R, C)`.
    """
    for r in range(key.size):
        k = key[r]
        gain = _ONE - exp32(elapsed[r] * fading)
        for c in range(z.shape[1]):
            average = z[r, c] if first[r] else anchor[k, c]
            least, most = average + (low[r, c] - _HELD), average + (high[r, c] + _HELD)
            bounded = smaller(larger(z[r, c], least), most)
            held[r, c] = bounded
            anchor[k, c] = average + gain * (bounded - average)


def hold(stage: LiquidNetwork, state: State, z: Any, observation: Observation) -> Any:
    """Run `LiquidNetwork.held` on NumPy's arrays; while training, itself."""
    counted = observation.counted
    if stage.training or counted is None:
        return stage.held(state, z, observation)
    low, high = contiguous(counted["held_low"]), contiguous(counted["held_high"])
    if low.all() and high.all():
        return z
    z = contiguous(z)
    held = np.empty_like(z)
    hold_rows(
        observation.packed.key,
        np.array(state["anchor"]),
        z,
        contiguous(observation.elapsed),
        contiguous(observation.first, np.bool_),
        low,
        high,
        _F(stage.fading),
        held,
    )
    return held
