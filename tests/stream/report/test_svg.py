"""Compact paths that lose no peak."""

from __future__ import annotations

import re

import numpy as np

from ember_core.plots.decimation import decimate
from stream.report._svg import Scale, gaps, line


def test_decimation_keeps_every_peak_and_is_bounded() -> None:
    x = np.linspace(0.0, 900.0, 100_003)
    y = np.sin(x)
    y[77_777], y[3] = 50.0, -50.0
    kept_x, kept_y = decimate(x, y, 113)
    assert len(kept_x) <= 226
    assert (kept_y.max(), kept_y.min()) == (50.0, -50.0)
    assert np.all(np.diff(kept_x) > 0)


def test_a_short_series_stays_as_it_is() -> None:
    x = np.arange(7.0)
    assert decimate(x, x, 5)[0] is x


def test_nan_interrupts_the_line_also_when_decimated() -> None:
    x, y = np.arange(1_009.0), np.ones(1_009)
    y[300:500] = np.nan
    kept_x, kept_y = decimate(x, y, 53)
    assert np.isnan(kept_y).any()
    assert line(kept_x, kept_y).count("M") == 2


def test_a_path_reads_back() -> None:
    x, y = np.array([0.0, 0.5, 10.0, 10.1]), np.array([3.0, -2.25, 0.04, 7.0])
    path = line(x, y)
    assert path.startswith("M0 3l0 0")
    steps = np.array([float(n) for n in re.findall(r"-?\d*\.?\d+", path)]).reshape(-1, 2)
    restored = np.cumsum(steps, axis=0)[1:]  # the first step is the zero one
    assert np.allclose(restored, np.stack([x, y], axis=1), atol=0.06)


def test_gaps_of_time_break_the_line() -> None:
    x = np.array([0.0, 1.0, 2.0, 30.0, 31.0])
    assert gaps(x, 5.0).tolist() == [False, False, False, True, False]


def test_scales_clip() -> None:
    scale = Scale(0.0, 4.0, 100.0, 0.0)
    assert scale.ends(1.0, 9.0) == (75.0, 0.0)
