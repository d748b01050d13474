"""What is usual for each key's features."""

from __future__ import annotations

import numpy as np

from ember_core.pipeline.fit.scales import EXTREME_ROWS, MOST_PRIOR, feature_scales, scale_prior
from ember_core.pipeline.fit.series import Rows, Series


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


def fleet(sizes, bursts=False):
    """Series of one channel each, of these deviations; with `bursts` most rows hardly move."""
    rng = np.random.default_rng(3)
    out = []
    for k, size in enumerate(sizes):
        x = rng.standard_normal((4001, 1))
        if bursts:
            x[np.arange(4001) % 2003 > 150] *= 0.01
        out.append(Series(b"%d" % k, np.arange(4001), size * x / x.std()))
    return out


def prior_of(series):
    return scale_prior(series, np.stack([s.values.std(axis=0) for s in series]))


def test_a_new_key_leans_on_the_fleet_s_scale_where_it_takes_long_to_show():
    """Bursts in a few rows only: what 500 rows say of the deviation is worth little."""
    steady, burst = prior_of(fleet([2.0] * 5)), prior_of(fleet([2.0] * 5, bursts=True))
    np.testing.assert_allclose([steady.var[0], burst.var[0]], 4.0)
    assert steady.rows[0] < 50
    assert burst.rows[0] == MOST_PRIOR


def test_a_new_key_is_left_alone_where_keys_are_of_different_sizes():
    """From 1 to 10,000 times: the fleet's middle would blind the small ones."""
    other = prior_of(fleet([1.0, 10.0, 100.0, 1000.0, 10000.0], bursts=True))
    np.testing.assert_allclose(other.var[0], 100.0**2)
    assert other.rows[0] < 0.1


def test_channels_without_values_or_movement_have_a_finite_prior():
    values = np.full((701, 2), np.nan)
    values[:, 1] = 3.0
    prior = scale_prior([Series(b"a", np.arange(701), values)], np.full((1, 2), 1e-3))
    assert np.isfinite(prior.var).all()
    assert np.isfinite(prior.rows).all()


def test_features_whose_size_takes_long_to_show_begin_at_the_fleet_s():
    """One row in `thinning` was kept: the rows are counted as the key will send them."""
    rng = np.random.default_rng(4)
    keys = [rng.standard_normal((4003, 2)) for _ in range(3)]
    for x in keys:
        x[np.arange(4003) % 2003 > 150, 1] *= 0.01
    scales, halved = feature_scales(rows_of(*keys), 3), feature_scales(rows_of(*keys), 3, 2)
    assert scales.prior_rows[0] < 50 < scales.prior_rows[1]
    np.testing.assert_allclose(halved.prior_rows[0], 2.0 * scales.prior_rows[0], rtol=1e-5)
    own = [np.log(x.var(axis=0)) for x in keys]
    np.testing.assert_allclose(np.log(scales.new_var), np.mean(own, axis=0), atol=0.02)


def test_too_few_rows_of_every_key_give_finite_scales():
    scales = feature_scales(rows_of(np.ones((3, 2)), np.zeros((5, 2))), 2)
    assert all(np.isfinite(part).all() for part in scales)
