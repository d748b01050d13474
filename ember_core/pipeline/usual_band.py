"""Usual band of channels: the values between which a stated share of usual rows lies."""

from __future__ import annotations

from typing import Any, NamedTuple

from ember_core import ops

from .evidence import ChannelEvidence
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


def usual_band(
    normaliser: Normaliser,
    channels: ChannelEvidence | None,
    observation: Observation,
    rows: Any,
    values: Any,
) -> UsualBand:
    """Return the usual band of rows.

    With channel evidence the usual value is that of the time of day and week. It goes along with
    the anchor, which stands still under evidence, so that it does not follow a fault. A model of
    joint evidence knows no time of day: its band is the key's mean in training and the quantiles
    around it, the same at every hour.

    Args:
        normaliser: Stage with the means and deviations of keys.
        channels: Evidence of the channels; None with joint evidence alone.
        observation: The rows.
        rows: Indices among them, `(N,)`.
        values: Values of these, `(N, C)`, NaN where missing.
    """
    if channels is None:
        moments = {name: value[rows] for name, value in observation.moments.items()}
        usual = normaliser.restore(moments, ops.zeros_like(values))
        low, high = (normaliser.restore(moments, bound) for bound in _bounds(normaliser.band))
        # A channel that the key has never sent has no mean.
        is_unknown = (moments["norm_count"] == 0) & (moments["norm_mean"] == 0)
        is_unknown = is_unknown & ~ops.isfinite(values)
    else:
        usual = observation.usual.values(rows)
        low, high = (observation.usual.values(rows, bound) for bound in _bounds(channels.band))
        is_unknown = ~observation.usual.is_known(rows)
    nothing = float("nan")
    return UsualBand(*(ops.where(is_unknown, nothing, column) for column in (usual, low, high)))


def _bounds(band: Any) -> tuple[Any, Any]:
    return band[0], band[1]
