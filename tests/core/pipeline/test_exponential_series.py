"""Exponential windows of whole series are those of the steps, and pandas'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core import ops
from ember_core.pipeline import (
    ExponentialWindows,
    Observation,
    PackedRows,
    exponential_series,
    zero_state,
)


def series(rows, channels=3, level=0.0):
    x = np.random.default_rng(rows).normal(level, 2.0, (rows, channels))
    return x.astype(np.float32)


@pytest.mark.parametrize("rows", [1, 2, 15, 16, 17, 257, 1009])
@pytest.mark.parametrize("levels", [True, False])
def test_equal_to_one_step_after_the_other(rows, levels):
    windows = ExponentialWindows(3, (1.5, 10.0), levels=levels)
    z = series(rows)
    state, steps = zero_state(windows.state_fields(), 1), []
    for t in range(rows):
        seen = Observation(
            PackedRows([1]), elapsed=np.ones(1, np.float32), first=np.array([t == 0])
        )
        state, features = windows.forward(state, z[t : t + 1], seen)
        steps.append(features[0])
    after, found = exponential_series(windows, None, z)
    np.testing.assert_allclose(found, np.array(steps), rtol=1e-4, atol=2e-6)
    assert found.dtype == np.float32
    for name, value in state.items():
        assert after[name].shape == value.shape
        np.testing.assert_allclose(after[name], value, rtol=1e-4, atol=2e-6)


@given(borders=st.lists(st.integers(1, 400), max_size=5, unique=True))
def test_state_carries_over_every_cut(borders):
    windows = ExponentialWindows(3)
    z = series(401)
    _, whole = exponential_series(windows, None, z)
    state, parts = None, []
    for part in np.split(z, sorted(borders)):
        state, features = exponential_series(windows, state, part)
        parts.append(features)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=5e-6)


def test_equal_to_pandas_ewm():
    z = series(503, level=100.0)
    _, found = exponential_series(ExponentialWindows(3, (7.0,)), None, z)
    ewm = pd.DataFrame(z.astype(np.float64)).ewm(halflife=7.0, adjust=False)
    np.testing.assert_allclose(found[:, 3:6], z - ewm.mean(), atol=2e-5)
    np.testing.assert_allclose(found[:, 6:9], ewm.std(bias=True), atol=2e-5)
    np.testing.assert_allclose(found[:, 9:], ewm.mean(), rtol=1e-6)


def test_a_large_level_costs_no_digits():
    z = series(211)
    _, low = exponential_series(ExponentialWindows(3, levels=False), None, z)
    _, high = exponential_series(ExponentialWindows(3, levels=False), None, z + np.float32(4096.0))
    np.testing.assert_allclose(high[:, 3:], low[:, 3:], atol=2e-3)


def test_no_rows_change_nothing():
    windows = ExponentialWindows(3)
    state, _ = exponential_series(windows, None, series(5))
    after, features = exponential_series(windows, state, series(0))
    assert after is state
    assert features.shape == (0, windows.n_features)


@pytest.mark.parametrize(
    ("z", "said"),
    [
        (series(5, channels=2), r"shape \(T, 3\)"),
        (series(0), "at least one row"),
        (np.full((5, 3), np.nan, np.float32), "gaps"),
    ],
)
def test_what_cannot_be_followed_is_refused(z, said):
    with pytest.raises(ValueError, match=said):
        exponential_series(ExponentialWindows(3), None, z)


def test_every_backend_gives_the_same_features(backend):
    windows = ExponentialWindows(3)
    _, wanted = exponential_series(windows, None, series(257))
    z = ops.from_numpy(series(257))
    state, first = exponential_series(windows, None, z[:100])
    _, second = exponential_series(windows, state, z[100:])
    assert ops.backend_name(second) == backend
    found = np.concatenate([ops.to_numpy(first), ops.to_numpy(second)])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=5e-6)
