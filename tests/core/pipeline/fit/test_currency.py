"""Peaks of training statistics, and the severity that they give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core import ops
from ember_core.pipeline import SeverityCurves
from ember_core.pipeline.fit.currency import (
    block_maxima,
    excursion_peaks,
    fit_class_rate,
    fit_peak_rate,
    fit_peak_rates,
    fit_tables,
)

DAY = 1440  # rows
ALPHA = 3.0


def statistics(days, columns=1, per_day=4.0, seed=0, alpha=ALPHA):
    """Small values, and single rows of Pareto size above 1 at Poisson times, `(T, J)`."""
    rng = np.random.default_rng(seed)
    u = rng.random((days * DAY, columns)) ** 2 * 0.9
    for j in range(columns):
        rows = rng.choice(len(u), rng.poisson(per_day * days), replace=False)
        u[rows, j] = (1.0 - rng.random(len(rows))) ** (-1.0 / alpha)
    return u.astype(np.float32)


def test_an_excursion_has_one_peak_and_near_ones_are_merged():
    x = np.zeros(400)
    x[10:13] = 2.0, 5.0, 3.0
    x[72], x[133], x[395] = 4.0, 1.5, 9.0
    assert excursion_peaks(x).tolist() == [5.0, 1.5, 9.0]
    assert excursion_peaks(x, merged_rows=61).tolist() == [5.0, 9.0]
    assert excursion_peaks(x, threshold=9.0).tolist() == []
    assert block_maxima(x, 100).tolist() == [5.0, 1.5, 0.0, 9.0]


@pytest.mark.parametrize("per_day", [0.5, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_poisson_peaks_of_a_known_rate_have_their_severity(per_day, seed):
    """Within a factor of 2 where ten peaks are, and of 10 in the tail beyond them."""
    traces = [statistics(20, per_day=per_day, seed=(seed, key)) for key in range(10)]
    (rate,) = fit_peak_rates(traces, days=200.0)
    sizes = np.array([1.3, 2.0, 4.0, 8.0, 16.0])
    expected = -np.log10(per_day * sizes**-ALPHA)
    # Merging takes the smaller of two peaks within an hour.
    error, is_counted = np.abs(rate(sizes) - expected), 200.0 * 10.0**-expected >= 10.0
    assert is_counted.sum() >= 2
    assert (error < np.where(is_counted, np.log10(2.0), 1.0)).all()


def test_severity_does_not_depend_on_the_number_of_keys_or_days():
    few = fit_peak_rates([statistics(40, seed=key) for key in range(4)], 160.0)[0]
    many = fit_peak_rates([statistics(20, seed=9 + key) for key in range(24)], 480.0)[0]
    sizes = np.array([1.2, 2.0, 3.0])
    np.testing.assert_allclose(few(sizes), many(sizes), atol=0.25)


@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 1.0, 4.0]))
def test_a_curve_never_falls(count, seed, spread):
    """With no peaks, with few, and with equal ones too."""
    rng = np.random.default_rng(seed)
    peaks = 1.0 + np.round(rng.exponential(spread, count), 1)
    maxima = np.r_[rng.random(30), peaks]
    severity = fit_peak_rate(peaks, maxima, 30.0)(np.exp(np.linspace(-20.0, 8.0, 900)))
    assert np.isfinite(severity).all()
    assert (np.diff(severity) >= -1e-12).all()
    assert severity[0] == pytest.approx(np.log10(30.0 / len(maxima)))


def test_a_statistic_that_never_was_large_has_a_severity_only_where_it_is():
    """A run of equal values at half its usual length is nothing."""
    run = np.tile(np.linspace(0.0, 0.6, 30), 960).astype(np.float32)
    (rate,) = fit_peak_rates([run[:, None]], days=20.0)
    assert (rate(np.array([0.0, 0.3, 0.55])) < -1.0).all()
    assert rate(1.5) > np.log10(20.0)


@pytest.mark.parametrize("columns", [2, 30])
def test_a_class_pages_as_often_as_its_severity_says_whatever_its_statistics(columns):
    """Counted on fresh keys: the second curve takes the maximum over columns into account."""
    traces = [statistics(10, columns, 0.7, seed=(1, key)) for key in range(10)]
    curves = tables_of(traces, 100.0)
    fresh = [statistics(10, columns, 0.7, seed=(2, key)) for key in range(30)]
    for severity in (-0.3, 0.5, 1.0):
        count = sum(
            excursion_peaks(curves(trace).max(axis=1), threshold=severity).size for trace in fresh
        )
        assert abs(np.log10(count / 300.0) + severity) < np.log10(2.0)


def tables_of(traces, days):
    with ops.default_backend("numpy"):
        curves = SeverityCurves(traces[0].shape[1])
        curves.assign({"tables": fit_tables(traces, days)})
    return curves


def test_the_tables_are_the_class_curve_of_the_statistics():
    """The largest severity over columns is the class's severity of the largest."""
    traces = [statistics(10, 4, 2.0, seed=(3, key)) for key in range(4)]
    rates = fit_peak_rates(traces, 40.0)
    plain = [np.stack([r(t[:, j]) for j, r in enumerate(rates)], 1).max(axis=1) for t in traces]
    expected = fit_class_rate(plain, 40.0)(plain[0])
    severity = tables_of(traces, 40.0)(traces[0]).max(axis=1)
    above = expected > -0.5
    np.testing.assert_allclose(severity[above], expected[above], atol=0.1)


def test_the_tables_rise_and_end_where_the_grid_does():
    traces = [statistics(6, 3, 1.0, seed=key) for key in range(3)]
    tables = fit_tables(traces, 18.0)
    assert tables.shape == (3, 65)
    assert tables.dtype == np.float32
    assert (np.diff(tables, axis=1) >= 0.0).all()
    assert 3.0 < tables.max() < 20.0


def test_a_key_without_rows_changes_nothing():
    traces = [statistics(4, 2, seed=key) for key in range(3)]
    tables = fit_tables(traces, 12.0)
    np.testing.assert_array_equal(fit_tables([*traces, traces[0][:0]], 12.0), tables)
