"""Time of day as sines and cosines, where the data has a period."""

from __future__ import annotations

from typing import Any

import numpy as np

from ember_core import ops

from .observation import Observation
from .stage import Stage, State


class Clock(Stage):
    """`sin(2 pi k t / P)` and `cos(2 pi k t / P)` for each period `P` and harmonic `k`.

    Args:
        periods_seconds: Periods found in training; none gives no columns.
        harmonics: Harmonics of each period.
    """

    def __init__(self, periods_seconds: tuple[float, ...] = (), harmonics: int = 2) -> None:
        super().__init__()
        self.periods_seconds = tuple(float(p) for p in periods_seconds)
        self.periods_us = tuple(max(1, round(p * 1e6)) for p in self.periods_seconds)
        self.harmonics = harmonics
        self.n_features = 2 * harmonics * len(self.periods_seconds)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal component."""
        return {"periods_seconds": list(self.periods_seconds), "harmonics": self.harmonics}

    def forward(self, state: State, x: Any, observation: Observation) -> tuple[State, Any]:
        """Add the clock features of the rows; the input passes unchanged.

        Arguments as `Stage.forward` has them.
        """
        observation.clock = self.features(observation.time_us)
        return {}, x

    def features(self, time_us: Any) -> Any:
        """Return the clock features of event times.

        Args:
            time_us: Event times, shape `(B,)`, int64 microseconds since the epoch.

        Returns:
            float32 of shape `(B, 2 * harmonics * len(periods_seconds))`.
        """
        columns = []
        for period_us in self.periods_us:
            phase = ops.astype(time_us % period_us, "float64") * (2.0 * np.pi / period_us)
            for k in range(1, self.harmonics + 1):
                columns += [ops.exact_sin(k * phase), ops.exact_cos(k * phase)]
        if not columns:
            return ops.astype(time_us[:, None][:, :0], "float32")
        return ops.stack(columns, axis=1)
