"""Usual band of channels: the values between which a stated share of usual rows lies."""

from __future__ import annotations

from typing import Any, NamedTuple

from ember_core import ops

from .normaliser import Normaliser
from .observation import Observation


class UsualBand(NamedTuple):
    """Usual values of rows and their bounds, `(N, C)` each, float64; NaN where unknown.

    Attributes:
        usual: Value that would have been usual at the row's time of day and week.
        lower: Lower bound of usual values.
        upper: Upper bound.
    """

    usual: Any
    lower: Any
    upper: Any


class UsualRows:
    """Usual values of some rows, and how far the rows are from them.

    With channel evidence the usual value is that of the time of day and week. It goes along with
    the anchor, which stands still under evidence, so that it does not follow a fault. A model of
    joint evidence knows no time of day: its usual value is the key's mean in training.

    Args:
        normaliser: Stage with the means and deviations of keys.
        observation: Rows observed.
        rows: Indices among them, `(N,)`.
        values: Values of these, `(N, C)`, NaN where missing.

    Attributes:
        departures: How far the rows are from their usual values, `(N, C)`, float32, in usual
            sizes; NaN where missing or unknown.
    """

    def __init__(
        self, normaliser: Normaliser, observation: Observation, rows: Any, values: Any
    ) -> None:
        self._normaliser, self._usual, self._rows = normaliser, observation.usual, rows
        missing = float("nan")
        if self._usual is not None:
            self._is_unknown = ~self._usual.is_known(rows)
            departures = self._usual.departures(rows, values)
        else:
            self._moments = {name: value[rows] for name, value in observation.moments.items()}
            # A channel that the key has never sent has no mean.
            is_empty = (self._moments["norm_count"] == 0) & (self._moments["norm_mean"] == 0)
            self._is_unknown = is_empty & ~ops.isfinite(values)
            mean, scale = self._moments["norm_mean"], normaliser.scale(self._moments)
            departures = ops.astype((values - mean) / scale, "float32")
        self.departures = ops.where(self._is_unknown, missing, departures)

    def band(self, bounds: Any) -> UsualBand:
        """Return the usual values and their bounds.

        Args:
            bounds: Bounds of the departures, `(N, 2, C)`: the lower ones, then the upper ones.
        """
        missing = float("nan")
        columns = (self._values(sizes) for sizes in (0.0, bounds[:, 0], bounds[:, 1]))
        return UsualBand(*(ops.where(self._is_unknown, missing, column) for column in columns))

    def _values(self, sizes: Any) -> Any:
        if self._usual is not None:
            return self._usual.values(self._rows, sizes)
        mean = self._moments["norm_mean"]
        z = ops.zeros_like(mean) + sizes
        return self._normaliser.restore(self._moments, z)
