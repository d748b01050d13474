"""Bands and strongest rows of long series (`decimate`: tests/stream/report/test_svg.py)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ember_core.plots.decimation import decimate_band, strongest_rows


@given(st.integers(0, 400), st.integers(1, 37), st.integers(0, 2**32 - 1))
def test_a_band_keeps_its_widest_points_and_unknown_stretches(
    rows: int, columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.1, 3.0, rows))
    lower = np.where(rng.random(rows) < 0.2, np.nan, rng.standard_normal(rows))
    upper = lower + rng.random(rows)
    kept, low, high = decimate_band(x, lower, upper, columns)
    assert len(kept) == len(low) == len(high) <= columns
    known = lower[~np.isnan(lower)]
    assert np.isnan(low).all() == (known.size == 0)
    if known.size:
        assert np.nanmin(low) == known.min()
        assert np.nanmax(high) == np.nanmax(upper)


@given(st.integers(1, 400), st.integers(1, 37), st.integers(0, 2**32 - 1))
def test_the_strongest_row_of_all_stays(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, weight = np.cumsum(rng.uniform(0.1, 3.0, rows)), rng.standard_normal(rows)
    index = strongest_rows(x, weight, columns)
    assert len(index) <= columns or rows <= columns
    assert (np.diff(index) > 0).all()
    assert weight[index].max() == weight.max()
