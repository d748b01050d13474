"""Clock features."""

from __future__ import annotations

import numpy as np

from ember_core.pipeline import Clock

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
