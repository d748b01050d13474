"""Feature scaler: a key's own moments of each feature."""

from __future__ import annotations

import numpy as np

from ember_core.pipeline import FeatureScaler, zero_state

B, D, T = 2, 7, 53


def learnt(features):
    s = FeatureScaler(features.shape[2])
    state = zero_state(s.state_fields(), features.shape[1])
    for t, row in enumerate(features):
        weight = np.full(features.shape[1], 1.0 / (t + 1), dtype=np.float32)
        state = s.learn(state, row, weight)
    return s, state


def features(seed=0):
    rng = np.random.default_rng(seed)
    return (3.0 * rng.standard_normal((T, B, D)) + rng.uniform(-5, 5, (B, D))).astype(np.float32)


def test_warm_up_moments_equal_those_of_numpy():
    """Weight 1 begins anew, so what was there before is no part of them."""
    f = features()
    s = FeatureScaler(D)
    state = {n: v + 2 for n, v in zero_state(s.state_fields(), B).items()}
    for t, row in enumerate(f):
        state = s.learn(state, row, np.full(B, 1.0 / (t + 1), dtype=np.float32))
    np.testing.assert_allclose(state["feature_mean"], f.mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(state["feature_var"], f.var(0), rtol=1e-4)
    assert all(v.dtype == np.float32 for v in state.values())


def test_the_moments_a_key_begins_with_count_as_so_many_rows():
    f = features()
    s = FeatureScaler(D)
    prior = np.array([0, 1, 3, 31, 0, 59, 5], dtype=np.float32)
    s.assign({"prior_rows": prior})
    state = {n: np.full_like(v, 4.0) for n, v in zero_state(s.state_fields(), B).items()}
    for t, row in enumerate(f):
        state = s.learn(state, row, np.full(B, 1.0 / (t + 1), dtype=np.float32))
    mean = (4.0 * prior + T * f.mean(0)) / (prior + T)
    np.testing.assert_allclose(state["feature_mean"], mean, rtol=1e-4, atol=1e-4)
    square = (prior * (4.0 + 4.0**2) + T * (f.var(0) + f.mean(0) ** 2)) / (prior + T)
    np.testing.assert_allclose(state["feature_var"], square - mean**2, rtol=1e-3)


def test_weight_zero_learns_nothing():
    s, state = learnt(features())
    after = s.learn(state, features(1)[0], np.array([0.0, 0.5], dtype=np.float32))
    for name, value in after.items():
        assert value[0].tobytes() == state[name][0].tobytes()
        assert (value[1] != state[name][1]).any()


def test_features_leave_scaled_and_clipped():
    f = features()
    s, state = learnt(f)
    np.testing.assert_allclose(s.scale(state, f[9]), (f[9] - f.mean(0)) / f.std(0), atol=1e-3)
    assert (np.abs(s.scale(state, 1e6 * f[9])) == 10.0).all()


def test_a_feature_that_hardly_moves_is_not_blown_up():
    """Its deviation counts as 5 % of a usual one."""
    f = np.full((T, 1, 1), 2.0, dtype=np.float32)
    s, state = learnt(f)
    np.testing.assert_allclose(s.scale(state, f[0] + 0.1), 2.0, rtol=1e-5)
