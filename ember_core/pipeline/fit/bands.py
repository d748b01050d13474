"""Bands of keys whose channels have no evidence of their own."""

from __future__ import annotations

from collections.abc import Sequence

from ember_core.pipeline.bands import Bands, band_of, bands_of
from ember_core.pipeline.normaliser import Normaliser
from ember_core.pipeline.stage import State

from .incidents import Marks
from .series import Series


def mean_bands(
    normaliser: Normaliser, series: Sequence[Series], moments: State, marks: Marks
) -> Bands:
    """Return the bands of keys around their means.

    Args:
        normaliser: Stage with the scale of channels.
        series: History of the keys.
        moments: Moments of each key, `(K, ...)`, as the stage has them.
        marks: Rows that do not count.
    """
    scale, bands = normaliser.scale(moments), []
    for k, key_series in enumerate(series):
        departures = (key_series.values - moments["norm_mean"][k]) / scale[k]
        bands.append(band_of(departures[~marks.rows[k]]))
    return bands_of(bands, scale.shape[1])
