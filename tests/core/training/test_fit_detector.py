"""A detector from rows."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.models import RBMDetector
from ember_core.training import fit_detector

V = 7


def rows(count=1500, seed=1):
    """Two factors, columns of very different sizes and levels, and a constant one."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 2)) @ np.random.default_rng(0).standard_normal((2, V))
    x = (x + 0.2 * rng.standard_normal((count, V))) * 10.0 ** np.arange(-3, 4) + 1e3
    x[:, 3] = 5.0
    return x


def broken(x, seed=2):
    """The same columns without what joins them."""
    return np.random.default_rng(seed).permuted(x, axis=0)


@pytest.fixture(scope="module")
def fitted():
    return fit_detector(rows(), hidden=23, learning_rate=0.02, epochs=30, seed=3)


@pytest.mark.parametrize("method", ["free_energy", "reconstruction"])
def test_unusual_rows_are_on_the_right_tail(fitted, method):
    """Five training rows in a hundred are above the threshold; most broken ones are."""
    assert fitted.predict(rows(), method).mean() == pytest.approx(0.05, abs=0.002)
    assert fitted.predict(rows(seed=5), method).mean() < 0.12
    assert fitted.predict(broken(rows(seed=5)), method).mean() > 0.5
    normal, odd = (fitted.score(x, method) for x in (rows(seed=5), broken(rows(seed=5))))
    assert (odd[:, None] > normal).mean() > 0.85
    likely = fitted.probability(rows(seed=5), method)
    assert ((likely > 0) & (likely < 1)).all()
    assert fitted.probability(broken(rows(seed=5)), method).mean() > likely.mean()


def test_reconstructions_are_in_the_columns_own_units(fitted):
    x = rows(seed=5)
    left = (x - fitted.reconstruct(x)).std(axis=0) / np.maximum(x.std(axis=0), 1e-9)
    assert (left[x.std(axis=0) > 0] < 0.8).all()


def test_a_file_brings_it_back(fitted, tmp_path):
    fitted.save(tmp_path / "detector.safetensors")
    again = RBMDetector.load(tmp_path / "detector.safetensors")
    assert np.array_equal(again.predict(rows(seed=5)), fitted.predict(rows(seed=5)))
    assert "decides by: free_energy" in again.summary()


def test_chunks_give_the_scales_and_thresholds_of_the_whole():
    """A source that is read again and again; percentiles are those of its own scores."""
    x = rows()
    detector = fit_detector(lambda: (x[i : i + 400] for i in range(0, 1500, 400)), epochs=3)
    np.testing.assert_allclose(detector.centre, x.mean(axis=0), rtol=1e-5)
    steady = x.std(axis=0) == 0
    np.testing.assert_allclose(detector.scale[~steady], x.std(axis=0)[~steady], rtol=1e-4)
    assert (detector.scale[steady] == 1.0).all()
    scores = detector.score(x)
    assert float(detector.thresholds[0]) == pytest.approx(np.percentile(scores, 95), rel=1e-4)


def test_minmax_scales_to_the_unit_interval_for_binary_units():
    x = rows()
    detector = fit_detector(x, visible="binary", scaling="minmax", epochs=3, percentile=90)
    scaled = detector.scaled(x)
    assert scaled.min() >= -1e-5
    assert scaled.max() <= 1 + 1e-5
    assert detector.predict(x).mean() == pytest.approx(0.1, abs=0.002)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="percentile=100"):
        fit_detector(rows(), percentile=100)
    with pytest.raises(ValueError, match="method='energy'"):
        fit_detector(rows(20), method="energy")
    with pytest.raises(ValueError, match="read only once"):
        fit_detector(iter([rows()]))
    x = rows(20)
    x[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"not finite.*columns \[2\]"):
        fit_detector(x)
    with pytest.raises(ValueError, match=r"not seen rows.*threshold=inf"):
        RBMDetector(fit_detector(rows(50), epochs=1).rbm).predict(rows(2))
