"""Normaliser: a key's own moments, and values in usual deviations."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import Normaliser, zero_state

B, C, T = 3, 5, 97


def learnt(values, learns=None):
    """State after the rows of `values` `(T, B, C)`."""
    n = Normaliser(values.shape[2])
    state = zero_state(n.state_fields(), values.shape[1])
    for t, row in enumerate(values):
        mask = np.ones(values.shape[1], dtype=bool) if learns is None else learns[t]
        state = n.learn(state, row, mask)
    return n, state


def telemetry(seed=0):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-4, 9, (B, C))
    return scale * (rng.standard_normal((T, B, C)) + 100.0 * rng.standard_normal((B, C)))


def test_warm_up_moments_equal_those_of_numpy():
    x = telemetry()
    _, state = learnt(x)
    np.testing.assert_allclose(state["norm_mean"], x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(state["norm_var"], x.var(axis=0), rtol=1e-7)
    assert (state["norm_low"] == x.min(axis=0)).all()
    assert (state["norm_high"] == x.max(axis=0)).all()


@pytest.mark.parametrize("start", [0, 1, 40])
def test_missing_values_are_no_part_of_the_moments(start):
    """Also where a channel is missing from the very first rows: it does not begin at zero."""
    x = telemetry()
    x[:start, :, 2] = np.nan
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    _, state = learnt(x)
    np.testing.assert_allclose(state["norm_mean"], np.nanmean(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(state["norm_var"], np.nanvar(x, axis=0), rtol=1e-7)
    assert (state["norm_low"] == np.nanmin(x, axis=0)).all()
    assert (state["norm_high"] == np.nanmax(x, axis=0)).all()
    assert (state["norm_count"] == np.isfinite(x).sum(axis=0)).all()


def test_the_variance_a_key_begins_with_counts_as_so_many_rows():
    """The mean is its own from the first row; a channel without such rows has its own variance."""
    x = telemetry()
    n = Normaliser(C)
    n.assign({"prior_rows": np.array([0, 29, 29, 43, 0], dtype=np.float32)})
    usual = np.array([0.0, 2.0, 3.0, 1e12, 0.0])
    state = zero_state(n.state_fields(), B) | {"norm_var": np.tile(usual, (B, 1))}
    for row in x:
        state = n.learn(state, row, np.ones(B, dtype=bool))
    prior = n.prior_rows.astype(np.float64)
    wanted = (prior * usual + T * x.var(axis=0)) / (prior + T)
    np.testing.assert_allclose(state["norm_var"], wanted, rtol=1e-7)
    np.testing.assert_allclose(state["norm_mean"], x.mean(axis=0), rtol=1e-12)


def test_a_key_that_does_not_learn_keeps_its_bits():
    """Beside one that does: what stands still must not depend on its neighbours."""
    x = telemetry()
    n, before = learnt(x)
    mask = np.array([True, False, False])
    after = n.learn(before, telemetry(1)[0], mask)
    for name, value in after.items():
        assert (value[1:] == before[name][1:]).all()
        assert value[1:].tobytes() == before[name][1:].tobytes()
    assert (after["norm_mean"][0] != before["norm_mean"][0]).all()


def test_rows_learnt_one_after_the_other_do_not_depend_on_the_batch():
    x = telemetry()
    _, together = learnt(x)
    for k in range(B):
        _, alone = learnt(x[:, k : k + 1])
        for name, value in alone.items():
            assert value[0].tobytes() == together[name][k].tobytes()


def test_values_leave_in_usual_deviations_as_float32_within_the_clip():
    x = telemetry()
    n, state = learnt(x)
    z = n.normalise(state, x[7])
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, (x[7] - x.mean(0)) / x.std(0), rtol=1e-5)
    far = n.normalise(state, x.mean(0) + np.array([1e3, -1e3, 10.5, 9.5, 0.0]) * x.std(0))
    np.testing.assert_allclose(far, [[10, -10, 10, 9.5, 0]] * B, rtol=1e-4, atol=1e-4)


def test_centring_keeps_what_float32_would_lose():
    """A level of 1e9 with deviations of 1: float32 alone has steps of 64."""
    x = 1e9 + np.random.default_rng(0).standard_normal((T, 1, 1))
    n, state = learnt(x)
    z = n.normalise(state, x[3])
    np.testing.assert_allclose(z, (x[3] - x.mean()) / x.std(), rtol=1e-4)


def test_a_nearly_constant_channel_is_measured_by_its_range():
    """One spike in many equal values: 5 % of the range is the least deviation."""
    x = np.zeros((T, 1, 1))
    x[50] = 1.0
    n, state = learnt(np.concatenate([x] * 20))
    assert n.scale(state)[0, 0] == pytest.approx(max(0.05, x.std()))
    rare = np.zeros((5000, 1, 1))
    rare[50] = 1.0
    n, state = learnt(rare)
    assert rare.std() < 0.05
    assert n.scale(state)[0, 0] == pytest.approx(0.05)


@pytest.mark.parametrize("level", [0.0, 5.0, -3e8])
def test_a_channel_that_never_moved_has_a_finite_scale(level):
    """Its own value is zero deviations; anything else is far out, not infinite."""
    n, state = learnt(np.full((T, 1, 1), level))
    assert n.normalise(state, np.array([[level]])) == 0.0
    assert abs(n.normalise(state, np.array([[level * 1.5 + 1.0]]))) == 10.0
    assert n.normalise(state, np.array([[np.nan]])).dtype == np.float32


def test_a_missing_value_stays_missing():
    n, state = learnt(telemetry())
    row = telemetry()[0]
    row[1, 2] = np.nan
    z = n.normalise(state, row)
    assert np.isnan(z[1, 2])
    assert np.isfinite(np.delete(z.ravel(), C + 2)).all()


def test_restore_is_the_inverse():
    x = telemetry()
    n, state = learnt(x)
    np.testing.assert_allclose(n.restore(state, n.normalise(state, x[3])), x[3], rtol=1e-5)


def test_magnitudes_up_to_what_is_accepted_stay_finite():
    """Values of 1e150 are let in: their squares still fit."""
    x = np.array([1e150, -1e150, 3e149]).reshape(3, 1, 1)
    n, state = learnt(x)
    assert all(np.isfinite(v).all() for v in state.values())
    assert np.isfinite(n.normalise(state, x[0])).all()
