"""Explanations: shares of the free energy, by channel."""

from __future__ import annotations

import numpy as np

from ember_core import ops
from ember_core.models import RBM
from ember_core.pipeline import Explainer

OWNER = [0, 1, 2, 0, 1, 2, 2, -1]
V, N, C = len(OWNER), 5, 3


def made(seed=0):
    rbm = RBM(V, N, visible="gaussian", generator=ops.generator(seed))
    rng = np.random.default_rng(seed)
    rbm.weights.data = (0.4 * rng.standard_normal((V, N))).astype(np.float32)
    rbm.hidden_bias.data = (0.2 * rng.standard_normal(N)).astype(np.float32)
    rbm.visible_bias.data = (0.2 * rng.standard_normal(V)).astype(np.float32)
    explainer = Explainer(OWNER, C)
    explainer.prepare(rbm)
    return rbm, explainer


def rows(n=31, seed=1):
    return (3.0 * np.random.default_rng(seed).standard_normal((n, V))).astype(np.float32)


def test_shares_are_not_negative_and_sum_to_one():
    """Also of a row in which no channel gains anything."""
    _, explain = made()
    x = np.concatenate([rows(), np.zeros((1, V), dtype=np.float32)])
    shares = explain.attribute(x)
    assert shares.shape == (32, C)
    assert shares.dtype == np.float64
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)


def test_shares_are_gains_of_free_energy():
    """Of each channel's units replaced by what the others make the hidden units expect."""
    rbm, explain = made()
    x = rows()
    w = np.asarray(rbm.weights.data, dtype=np.float64)
    b = np.asarray(rbm.visible_bias.data, dtype=np.float64)
    c = np.asarray(rbm.hidden_bias.data, dtype=np.float64)
    sigma = np.asarray(rbm.sigma, dtype=np.float64)

    def energy(v):
        return (((v - b) / sigma) ** 2).sum(1) / 2 - np.logaddexp(0, c + (v / sigma) @ w).sum(1)

    gains = []
    for channel in range(C):
        own = np.array(OWNER) == channel
        others = np.where(own, 0.0, x / sigma)
        hidden = 1.0 / (1.0 + np.exp(-(c + others @ w)))
        replaced = np.where(own, b + sigma * (hidden @ w.T), x)
        gains.append(np.maximum(energy(x) - energy(replaced), 0.0))
    gains = np.stack(gains, axis=1)
    np.testing.assert_allclose(explain.attribute(x), gains / gains.sum(1, keepdims=True), atol=1e-4)


def test_a_channel_far_out_has_the_largest_share():
    _, explain = made()
    x = 0.1 * rows()
    for channel in range(C):
        broken = x.copy()
        broken[:, np.array(OWNER) == channel] += 8.0
        assert (explain.attribute(broken).argmax(axis=1) == channel).all()


def test_a_row_is_explained_alike_alone_and_in_a_batch():
    _, explain = made()
    x = rows(131)
    together = explain.attribute(x)
    for i in range(len(x)):
        assert explain.attribute(x[i : i + 1]).tobytes() == together[i : i + 1].tobytes()


def test_a_channel_without_visible_units_has_no_share():
    rbm, _ = made()
    explain = Explainer(OWNER, C + 1)
    explain.prepare(rbm)
    assert (explain.attribute(rows())[:, C] == 0).all()
