"""Time of day, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core.pipeline.clock import Clock
from ember_core.pipeline.observation import Observation
from ember_core.pipeline.stage import State

from .arrays import contiguous
from .compiler import compiled
from .elementary import cos32, sin32


@compiled
def write_clock(time_us: Any, periods_us: Any, harmonics: Any, clock: Any) -> None:
    """Write sines and cosines of event times.

    Args:
        time_us: `(R,)`, int64.
        periods_us: `(P,)`, int64.
        harmonics: Harmonics of each period.
        clock: Output, `(R, 2 * harmonics * P)`, float32.
    """
    for r in range(time_us.size):
        column = 0
        for p in range(periods_us.size):
            period = periods_us[p]
            phase = np.float64(time_us[r] % period) * (2.0 * np.pi / np.float64(period))
            for k in range(1, harmonics + 1):
                angle = np.float64(k) * phase
                clock[r, column] = sin32(angle)
                clock[r, column + 1] = cos32(angle)
                column += 2


def clock(stage: Clock, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
    """Run `Clock.forward` on NumPy's arrays."""
    columns = np.empty((len(observation.time_us), stage.n_features), np.float32)
    if stage.n_features:
        periods = np.array(stage.periods_us, np.int64)
        time_us = contiguous(observation.time_us, np.int64)
        write_clock(time_us, periods, stage.harmonics, columns)
    observation.clock = columns
    return {}, x
