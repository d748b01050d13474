"""The quantile sketch: exact where it promises, close beyond, bounded, mergeable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ember_core.data.columns import QuantileSketch

Q = [0.0, 0.01, 0.25, 0.5, 0.9, 0.999, 1.0]


@given(x=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=97))
def test_exact_while_everything_is_held(x):
    sketch = QuantileSketch(128)
    sketch.add(np.array(x))
    np.testing.assert_allclose(sketch.quantiles(Q), np.quantile(x, Q), rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize("order", ["random", "rising", "falling"])
def test_ranks_are_within_the_bound(order):
    x = np.random.default_rng(0).standard_normal(100_003) ** 3
    x = {"random": x, "rising": np.sort(x), "falling": -np.sort(-x)}[order]
    sketch = QuantileSketch(512)
    sketch.add(x)
    bound = np.log2(len(x) / 512) / (2 * 512) + 1 / len(x)
    ranks = np.searchsorted(np.sort(x), sketch.quantiles(Q)) / len(x)
    assert np.abs(ranks - Q).max() <= bound


@given(borders=st.lists(st.integers(0, 5003), max_size=7))
def test_the_cuts_leave_no_trace(borders):
    x = np.random.default_rng(1).standard_normal(5003)
    whole, parts = QuantileSketch(64), QuantileSketch(64)
    whole.add(x)
    for part in np.split(x, sorted(borders)):
        parts.add(part)
    np.testing.assert_array_equal(parts.quantiles(Q), whole.quantiles(Q))


def test_merged_sketches_know_what_both_saw():
    x = np.random.default_rng(2).standard_normal(20_011)
    one, two = QuantileSketch(512), QuantileSketch(512)
    one.add(x[:7001])
    two.add(x[7001:])
    one.merge(two)
    assert one.count == len(x)
    ranks = np.searchsorted(np.sort(x), one.quantiles(Q)) / len(x)
    assert np.abs(ranks - Q).max() <= 0.01


def test_memory_does_not_follow_the_stream():
    sketch = QuantileSketch(64)
    for seed in range(100):
        sketch.add(np.random.default_rng(seed).standard_normal(1009))
    held = sum(level.size for level in sketch._levels) + sketch._fresh.size
    assert held <= 64 * (np.log2(100 * 1009 / 64) + 2)


def test_a_value_may_count_besides():
    sketch = QuantileSketch(64)
    sketch.add(np.array([1.0, 2.0, 3.0]))
    wanted = np.quantile([1, 2, 3, *[7] * 5], Q)
    np.testing.assert_allclose(sketch.quantiles(Q, (7.0, 5)), wanted)


def test_nothing_has_no_quantile():
    assert np.isnan(QuantileSketch().quantiles([0.5])).all()


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="even size"):
        QuantileSketch(7)
    with pytest.raises(ValueError, match="do not fit"):
        QuantileSketch(64).merge(QuantileSketch(128))
