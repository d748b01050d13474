"""What is usual for each key's features."""

from __future__ import annotations

import numpy as np

from ember_core.train._gather import Rows
from ember_core.train._scales import EXTREME_ROWS, feature_scales


def rows_of(*features):
    """Rows of keys, each `(T, D)`."""
    owner = np.repeat(np.arange(len(features)), [len(f) for f in features])
    raw = np.concatenate(features).astype(np.float32)
    return Rows(owner, np.arange(len(raw)), raw)


def test_calm_features_are_scaled_by_their_deviation():
    rng = np.random.default_rng(0)
    calm = rng.uniform(-1.0, 1.0, (3001, 2)) * [1.0, 7.0]
    scales = feature_scales(rows_of(calm), 1)
    assert scales.heavy.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(np.sqrt(scales.var[0]), calm.std(axis=0), rtol=1e-3)


def test_bursts_that_are_usual_widen_the_scale_by_their_root():
    """A fleet whose extremes reach 12 of its deviations instead of 3.3."""
    rng = np.random.default_rng(1)
    keys = []
    for _ in range(3):
        x = rng.uniform(-1.0, 1.0, (5003, 2))
        x[::100, 1] *= 20.0
        keys.append(x)
    scales = feature_scales(rows_of(*keys), 3)
    far = np.quantile(np.abs(keys[0][:, 1]), 0.9999) / keys[0][:, 1].std()
    assert far > 8
    assert scales.heavy[0] == 1.0
    np.testing.assert_allclose(scales.heavy[1], np.sqrt(far / 3.3), rtol=0.05)


def test_a_key_s_own_extremes_count_by_how_many_rows_it_has():
    rng = np.random.default_rng(2)
    calm = [rng.uniform(-1.0, 1.0, (n, 1)) for n in (2003, 2011, 2017, 2027)]
    wild = rng.uniform(-1.0, 1.0, (int(EXTREME_ROWS), 1))
    wild[::100] *= 20.0
    scales = feature_scales(rows_of(*calm, wild), 5)
    assert scales.heavy.tolist() == [1.0]
    own = np.quantile(np.abs(wild - wild.mean()), 0.9999) / (3.3 * wild.std())
    widened = np.sqrt(scales.var[4, 0]) / wild.std()
    np.testing.assert_allclose(widened, np.sqrt(own) ** 0.5, rtol=0.01)  # half of its logarithm


def test_a_feature_that_never_moves_has_a_finite_scale():
    scales = feature_scales(rows_of(np.full((503, 1), 3.0), np.full((509, 1), 3.0)), 2)
    assert np.isfinite(scales.var).all()
    assert (scales.var > 0).all()
    assert scales.heavy.tolist() == [1.0]
