"""Compiled windows, scales, clock and visible units have the bits of the plain stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ember_core.pipeline import (
    Clock,
    ExponentialWindows,
    FeatureScaler,
    Observation,
    PackedRows,
    RowWindows,
    VisibleUnits,
)
from ember_core.pipeline.compiled.clock import clock
from ember_core.pipeline.compiled.row_windows import row_windows
from ember_core.pipeline.compiled.scaler import feature_scaler
from ember_core.pipeline.compiled.visible_units import visible_units
from ember_core.pipeline.compiled.windows import exponential_windows
from tests.conftest import examples
from tests.core.pipeline.compiled.histories import BATCHES, assert_same_history

CHANNELS = st.sampled_from([1, 3, 5, 19])
SEEDS = st.integers(0, 999)
EXTREMES = (0.0, -0.0, 1e30, -1e30, np.nan, 1e-40)


class _Rows:
    """Random rows of a width, a few of them extreme, with their time."""

    def __init__(self, seed: int, width: int, *, extreme: bool = True) -> None:
        self.rng, self.width, self.extreme = np.random.default_rng(seed), width, extreme

    def __call__(self, packed: PackedRows, keys: Any, observation: Observation) -> Any:
        n = packed.row_count
        x = (3.0 * self.rng.standard_normal((n, self.width))).astype(np.float32)
        if self.extreme:
            x[self.rng.random(x.shape) < 0.05] = self.rng.choice(EXTREMES)
        waits = self.rng.choice([0.0, 0.3, 1.0, 200.0, 1e4], n) * self.rng.uniform(0.9, 1.1, n)
        observation.elapsed = waits.astype(np.float32)
        observation.warming = np.array([0, 1, 1, 0, 1, 0, 0, 0], bool)[keys[packed.key]]
        observation.time_us = self.rng.integers(-(10**15), 2 * 10**15, n)
        return x


@settings(deadline=None, max_examples=examples(60))
@given(
    owners=BATCHES,
    channels=CHANNELS,
    half_lives=st.sampled_from([(5.0,), (1.5, 5.0, 15.0), (0.01, 1e6)]),
    levels=st.booleans(),
    seen=st.sampled_from([0, 3]),
    seed=SEEDS,
)
def test_exponential_windows(
    owners: Any, channels: int, half_lives: Any, levels: bool, seen: int, seed: int
) -> None:
    windows = ExponentialWindows(channels, half_lives, levels=levels)
    shape = (8, len(half_lives), channels)
    primed = np.random.default_rng(seed).uniform(-0.1, 2.0, shape).astype(np.float32)
    start = {"ewvar": primed}
    rows = _Rows(seed, channels)
    assert_same_history(windows, exponential_windows, owners, rows, (), start=start, seen=seen)


@settings(deadline=None, max_examples=examples(80))
@given(
    owners=BATCHES,
    channels=CHANNELS,
    size=st.sampled_from([2, 7, 8, 10, 19, 131]),
    strides=st.sampled_from([(1,), (1, 3, 5), (2, 7)]),
    mode=st.sampled_from(["dilated", "hop"]),
    levels=st.booleans(),
    seen=st.sampled_from([0, 3]),
    seed=SEEDS,
)
def test_row_windows(
    owners: Any,
    channels: int,
    size: int,
    strides: Any,
    mode: str,
    levels: bool,
    seen: int,
    seed: int,
) -> None:
    windows = RowWindows(channels, size, strides, mode=mode, levels=levels)
    rng = np.random.default_rng(seed)
    ring = rng.standard_normal((8, windows.depth, channels)).astype(np.float32)
    start = {"ring": ring, "ring_rows": rng.integers(0, 99, 8)}
    rows = _Rows(seed, channels)
    assert_same_history(windows, row_windows, owners, rows, (), start=start, seen=seen)


@settings(deadline=None, max_examples=examples(60))
@given(
    owners=BATCHES,
    width=st.sampled_from([1, 3, 19, 67]),
    seen=st.sampled_from([0, 61, 64, 500]),
    seed=SEEDS,
)
def test_scales(owners: Any, width: int, seen: int, seed: int) -> None:
    scaler, rng = FeatureScaler(width), np.random.default_rng(seed)
    heavy = rng.uniform(1.0, 3.0, width).astype(np.float32)
    prior_rows = rng.choice([0.0, 1.0, 30.0], width).astype(np.float32)
    scaler.assign({"heavy": heavy, "prior_rows": prior_rows})
    mean = rng.choice([0.0, -0.0, 0.7], (8, width)).astype(np.float32)
    start = {"feature_mean": mean, "feature_var": rng.uniform(-0.1, 2.0, mean.shape).astype("f4")}
    rows = _Rows(seed, width)
    assert_same_history(scaler, feature_scaler, owners, rows, ("raw",), start=start, seen=seen)


def test_a_key_that_learns_leaves_others_as_they_are() -> None:
    """A product with a weight of 0 turned -0 into 0, and large numbers into NaN."""
    scaler = FeatureScaler(3)
    state = {"feature_mean": np.full((2, 3), -0.0, "f4"), "feature_var": np.ones((2, 3), "f4")}
    observation = Observation(PackedRows([2]), rows=np.array([70, 70]))
    observation.warming = np.array([True, False])
    with np.errstate(over="ignore", invalid="ignore"):
        new, _ = scaler.forward(state, np.full((2, 3), 1e30, np.float32), observation)
    for name, value in state.items():
        assert new[name][1].tobytes() == value[1].tobytes(), name
        assert new[name][0].tobytes() != value[0].tobytes(), name


@settings(deadline=None, max_examples=examples(40))
@given(
    owners=BATCHES,
    periods=st.sampled_from([(), (86_400.0,), (3600.0, 604_800.0, 1e-9)]),
    harmonics=st.sampled_from([1, 2, 3]),
    seed=SEEDS,
)
def test_the_clock(owners: Any, periods: Any, harmonics: int, seed: int) -> None:
    rows = _Rows(seed, 3)
    assert_same_history(Clock(periods, harmonics), clock, owners, rows, ("clock",))


@settings(deadline=None, max_examples=examples(40))
@given(
    owners=BATCHES,
    width=st.sampled_from([3, 19, 131]),
    n_clock=st.sampled_from([0, 4]),
    whiten=st.sampled_from([0.0, 0.1]),
    seed=SEEDS,
)
def test_visible_units(owners: Any, width: int, n_clock: int, whiten: float, seed: int) -> None:
    units = VisibleUnits(width, n_clock, whiten)
    if whiten:
        units.fit_whitener(np.random.default_rng(seed).standard_normal((211, width + n_clock)))

    def rows(packed: PackedRows, keys: Any, observation: Observation) -> Any:
        x = _Rows(seed, width)(packed, keys, observation)
        angles = np.arange(packed.row_count * n_clock, dtype=np.float32)
        observation.clock = np.cos(angles).reshape(packed.row_count, n_clock)
        return x

    assert_same_history(units, visible_units, owners, rows, ("scaled", "visible"))


@pytest.mark.parametrize("whiten", [0.1, 1.0])
def test_a_new_whitening_matrix_is_taken_over(whiten: float) -> None:
    units, rng = VisibleUnits(5, 0, whiten), np.random.default_rng(1)
    for _ in range(2):
        assert_same_history(units, visible_units, [[0, 1, 1]], _Rows(2, 5), ("visible",))
        units.fit_whitener(rng.standard_normal((211, 5)))
