"""Kinds of anomalies."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.evaluate import silhouette
from ember_core.models import categorize_anomalies
from tests.core.models.test_rbm import trained

V = 5


def made(seed=1):
    """Normal rows, and three kinds of anomalies of 31, 17 and 7 rows on units 0, 2 and 4."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((200, V)).astype("float32")
    kind = np.full(200, -1)
    start = 0
    for number, (unit, size, count) in enumerate(((0, 9.0, 31), (2, -9.0, 17), (4, 9.0, 7))):
        rows[start : start + count, unit] = size
        kind[start : start + count] = number
        start += count
    return rows, kind


def separating():
    """One hidden unit for each of the units 0, 2 and 4."""
    rbm = trained()
    weights = np.zeros((V, 3), "float32")
    weights[[0, 2, 4], [0, 1, 2]] = 1.0, -1.0, 1.0
    rbm.assign({"weights": weights, "hidden_bias": np.full(3, -1.0, "float32")})
    return rbm


def test_kinds_are_found_and_named_by_their_units():
    rows, kind = made()
    found = categorize_anomalies(separating(), rows, kind >= 0)
    assert len(found.centres) == 3
    assert np.array_equal(found.labels, kind)
    assert found.units[:, 0].tolist() == [0, 2, 4]
    assert (np.sign(found.departures[:, 0]) == [1, -1, 1]).all()
    assert found.silhouette > 0.5
    assert np.array_equal(found.labels, categorize_anomalies(separating(), rows, kind >= 0).labels)


def test_nothing_flagged_gives_no_kind_and_one_row_gives_one():
    rows, _ = made()
    none = categorize_anomalies(separating(), rows, np.zeros(200, bool))
    assert len(none.centres) == 0
    assert (none.labels == -1).all()
    one = categorize_anomalies(separating(), rows, np.arange(200) == 3)
    assert len(one.centres) == 1
    assert np.flatnonzero(one.labels == 0).tolist() == [3]


def test_flags_of_another_number_are_refused():
    rows, _ = made()
    with pytest.raises(ValueError, match=r"one flag per row.*\(199,\)"):
        categorize_anomalies(separating(), rows, np.zeros(199, bool))


def test_silhouette_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(7)
    points = rng.standard_normal((61, 3))
    labels = rng.integers(0, 4, 61)
    labels[labels == 3] = 2
    labels[0] = 3  # a cluster of one
    assert silhouette(points, labels) == pytest.approx(
        metrics.silhouette_score(points, labels), rel=1e-9
    )
    with pytest.raises(ValueError, match=r"two or more\. Received: 1"):
        silhouette(points, np.zeros(61, int))
