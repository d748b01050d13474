"""Clock features, and the period they follow."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.pipeline import Clock, find_period

DAY = 86_400.0
NOW = 1_700_000_000_123_456


def test_sines_and_cosines_of_every_harmonic():
    periods, k = (DAY, 3_600.0), 3
    clock = Clock(periods, harmonics=k)
    t = NOW + np.array(
        [0, 1, 977_000_000, -NOW - 5_000_000], dtype=np.int64
    )  # before the epoch too
    got = clock.features(t)
    assert got.shape == (4, clock.n_features) == (4, 12)
    assert got.dtype == np.float32
    expected = [
        f(2 * np.pi * h * (t * 1e-6) / p)
        for p in periods
        for h in (1, 2, 3)
        for f in (np.sin, np.cos)
    ]
    np.testing.assert_allclose(got, np.stack(expected, axis=1), atol=2e-6)


def test_one_period_later_is_the_same_to_the_bit():
    """Also half a century on: the phase is taken in whole microseconds."""
    clock = Clock((DAY,))
    t = np.array([NOW], dtype=np.int64)
    for days in (1, 7, 20_000):
        assert clock.features(t + days * 86_400_000_000).tobytes() == clock.features(t).tobytes()


def test_no_period_gives_no_columns():
    assert Clock().features(np.array([NOW, NOW], dtype=np.int64)).shape == (2, 0)


def wave(period, rows, kinds=3, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(rows)[:, None]
    x = np.sin(2 * np.pi * t / period + rng.uniform(0, 6, kinds))
    x = x + noise * rng.standard_normal((rows, kinds))
    return (x - x.mean(0)) / x.std(0)


@pytest.mark.parametrize("period", [24, 37, 100])
def test_a_period_in_noise_is_found(period):
    found = find_period(wave(period, 12 * period))
    assert found == pytest.approx(period, rel=0.03)


def test_a_trend_does_not_hide_it():
    x = wave(48, 600) + np.linspace(0, 6, 600)[:, None]
    assert find_period(x) == pytest.approx(48, rel=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_drift_have_no_period(seed):
    """A clock that follows nothing would only add noise."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((700, 3))
    assert find_period(noise) is None
    drift = noise.copy()
    for t in range(1, 700):
        drift[t] += 0.95 * drift[t - 1]
    assert find_period((drift - drift.mean(0)) / drift.std(0)) is None


def test_too_little_to_tell_gives_none():
    """Few rows, no channels, channels that never move, fewer than three cycles."""
    assert find_period(wave(8, 30)) is None
    assert find_period(np.zeros((500, 0))) is None
    assert find_period(np.zeros((500, 2))) is None
    assert find_period(wave(200, 500)) is None
