"""The RBM: energies, samples, and the frozen form that streams."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ember_core import ops
from ember_core.models import RBM
from ember_core.pipeline import freeze_rbm

V, N = 5, 3


def trained(n_visible=V, n_hidden=N, visible="gaussian", seed=1):
    """An RBM with weights of a trained one's size."""
    rng = np.random.default_rng(seed)
    rbm = RBM(n_visible, n_hidden, visible=visible)
    rbm.assign(
        {
            "weights": (rng.standard_normal((n_visible, n_hidden)) * 0.5).astype("float32"),
            "visible_bias": rng.standard_normal(n_visible).astype("float32"),
            "hidden_bias": rng.standard_normal(n_hidden).astype("float32"),
        }
    )
    return rbm


def rows(count, width=V, seed=2):
    return np.clip(np.random.default_rng(seed).standard_normal((count, width)) * 3, -10, 10).astype(
        "float32"
    )


def energy(rbm, v, h):
    """The energy of the class docstring, in float64, for one pair."""
    w, b, c = (p.data.astype("float64") for p in (rbm.weights, rbm.visible_bias, rbm.hidden_bias))
    sigma = rbm.sigma.astype("float64")
    if rbm.visible == "binary":
        return -b @ v - c @ h - v @ w @ h
    return np.sum((v - b) ** 2 / (2 * sigma**2)) - c @ h - (v / sigma) @ w @ h


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
def test_free_energy_is_the_sum_over_all_hidden_states(visible):
    rbm = trained(visible=visible).astype("float64")
    if visible == "gaussian":
        rbm.sigma = np.array([0.5, 1.0, 2.0, 1.5, 0.8])
    v = rows(7).astype("float64") if visible == "gaussian" else (rows(7) > 0).astype("float64")
    states = [np.array(h, float) for h in itertools.product((0, 1), repeat=N)]
    expected = [-np.logaddexp.reduce([-energy(rbm, x, h) for h in states]) for x in v]
    np.testing.assert_allclose(rbm.free_energy(v), expected, rtol=1e-12)


def test_new_model_is_small_random_and_repeatable():
    one, same, other = (RBM(V, N, generator=ops.generator(s)) for s in (3, 3, 5))
    assert np.array_equal(one.weights.data, same.weights.data)
    assert not np.array_equal(one.weights.data, other.weights.data)
    assert np.abs(one.weights.data).max() < 0.1
    assert set(one.state_dict()) == {"weights", "visible_bias", "hidden_bias", "sigma"}
    assert {ops.dtype(x) for x in one.state_dict().values()} == {"float32"}
    assert "sigma" not in dict(one.named_parameters())


def test_unlikely_rows_have_high_free_energy():
    rbm = trained()
    near, far = rbm.free_energy(rows(50) * 0.1), rbm.free_energy(rows(50) + 30.0)
    assert near.max() < far.min()


def test_large_values_do_not_overflow():
    rbm = trained()
    assert np.isfinite(rbm.free_energy(rows(3) * 1e6)).all()
    assert np.isfinite(rbm(rows(3) * 1e6)).all()


def test_reconstruction_error_is_per_row_or_their_mean():
    rbm, v = trained(), rows(7)
    errors = rbm.reconstruction_error(v)
    np.testing.assert_allclose(errors, ((v - rbm.reconstruct(v)) ** 2).sum(axis=1), rtol=1e-5)
    assert float(rbm.reconstruction_error(v, per_sample=False)) == pytest.approx(errors.mean())


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
def test_samples_have_the_means_of_the_model(visible):
    rbm = trained(visible=visible)
    rbm.sigma = np.full(V, 0.5, "float32")
    v = np.tile(rows(1), (20_000, 1))
    h = rbm.sample_hidden(v, ops.generator(7))
    assert set(np.unique(h)) <= {0.0, 1.0}
    np.testing.assert_allclose(h.mean(axis=0), rbm(v[:1])[0], atol=0.02)
    h = np.tile(h[:1], (20_000, 1))
    drawn = rbm.sample_visible(h, ops.generator(11))
    np.testing.assert_allclose(drawn.mean(axis=0), rbm.visible_mean(h[:1])[0], atol=0.02)
    if visible == "gaussian":
        np.testing.assert_allclose(drawn.std(axis=0), 0.5, atol=0.02)
    else:
        assert set(np.unique(drawn)) <= {0.0, 1.0}


def test_file_brings_the_model_back(tmp_path):
    rbm = trained(visible="binary")
    rbm.save(tmp_path / "rbm.safetensors")
    again = RBM.load(tmp_path / "rbm.safetensors")
    assert again.visible == "binary"
    assert np.array_equal(again.free_energy(rows(7)), rbm.free_energy(rows(7)))


@pytest.mark.parametrize("wrong", [(0, 3, "gaussian"), (5, 0, "gaussian"), (5, 3, "poisson")])
def test_impossible_models_are_refused(wrong):
    with pytest.raises(ValueError, match=r"Expected n_visible >= 1.* Received: n_visible="):
        RBM(*wrong[:2], visible=wrong[2])


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
@pytest.mark.parametrize("width", [5, 80, 418])
def test_frozen_form_is_the_model_to_the_grid(visible, width):
    rbm = trained(width, 64, visible)
    rbm.weights.data *= np.float32(0.2)
    if visible == "gaussian":
        rbm.sigma = np.linspace(0.5, 2.0, width).astype("float32")
    frozen, v = freeze_rbm(rbm), rows(31, width)
    np.testing.assert_allclose(frozen.free_energy(v), rbm.free_energy(v), rtol=2e-5, atol=2e-3)
    np.testing.assert_allclose(frozen.drive(v), rbm.drive(v), atol=2e-3)


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
@pytest.mark.parametrize("width", [3, 80, 418])
def test_frozen_results_of_a_row_do_not_depend_on_its_batch(visible, width):
    frozen = freeze_rbm(trained(width, 61, visible))
    v = rows(301, width)
    for method in (frozen.free_energy, frozen.drive):
        whole = method(v)
        assert whole.dtype == np.float32
        for size in (1, 2, 7, 16, 17, 127, 256, 257):
            parts = [method(v[i : i + size]) for i in range(0, len(v), size)]
            assert np.array_equal(np.concatenate(parts), whole), (method.__name__, size)
        order = np.random.default_rng(3).permutation(len(v))
        assert np.array_equal(method(v[order]), whole[order])
        assert np.array_equal(method(np.asfortranarray(v)), whole)
        wide = np.zeros((2 * len(v), 2 * width), "float32")
        wide[1::2, ::2] = v
        assert np.array_equal(method(wide[1::2, ::2]), whole)


def test_frozen_form_takes_no_rows_too():
    assert freeze_rbm(trained()).free_energy(rows(0)).shape == (0,)


@pytest.mark.parametrize("value", [8.0, -9.0, np.nan, np.inf])
def test_weights_outside_the_grid_cannot_be_frozen(value):
    rbm = trained()
    rbm.weights.data[2, 1] = value
    with pytest.raises(ValueError, match="outside the grid of exact inference"):
        freeze_rbm(rbm)


def test_freezing_takes_a_copy():
    rbm = trained()
    frozen, v = freeze_rbm(rbm), rows(7)
    before = frozen.free_energy(v)
    rbm.weights.data *= 0.0
    rbm.visible_bias.data += 1.0
    rbm.hidden_bias.data += 1.0
    assert np.array_equal(frozen.free_energy(v), before)


def probabilities(rbm, values):
    """Exact `p(v)` of a small binary model."""
    logs = -rbm.free_energy(values)
    return np.exp(logs - np.logaddexp.reduce(logs))


def test_samples_from_noise_come_as_often_as_the_model_says():
    """Against full enumeration of the binary model."""
    rbm = trained(visible="binary")
    values = np.array(list(itertools.product((0, 1), repeat=V)), "float32")
    drawn = rbm.sample(20_000, ops.generator(3), steps=30)
    index = (drawn @ (2 ** np.arange(V)[::-1])).astype(int)
    found = np.bincount(index, minlength=2**V) / len(drawn)
    np.testing.assert_allclose(found, probabilities(rbm, values), atol=0.015)


def test_samples_may_begin_at_given_rows():
    rbm, start = trained(), rows(7)
    near = rbm.sample(7, ops.generator(3), steps=0, start=start)
    assert np.array_equal(near, start)
    drawn = rbm.sample(7, ops.generator(3), steps=5, start=start)
    assert drawn.shape == (7, V)
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn, rbm.sample(7, ops.generator(3), steps=5, start=start))


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
def test_a_dream_is_the_whole_way(visible):
    rbm = trained(visible=visible)
    start = rows(2) if visible == "gaussian" else (rows(2) > 0).astype("float32")
    path = rbm.dream(11, ops.generator(5), start=start)
    assert path.shape == (12, 2, V)
    assert np.array_equal(path[0], start)
    assert np.array_equal(path[-1], rbm.sample(2, ops.generator(5), steps=11, start=start))
    assert rbm.dream(3, ops.generator(5), count=7).shape == (4, 7, V)


def test_learnt_sigma_is_saved_and_loaded(tmp_path):
    rbm = RBM(V, N, learn_sigma=True)
    rbm.sigma = np.linspace(0.5, 2.0, V).astype("float32")
    rbm.save(tmp_path / "rbm.safetensors")
    again = RBM.load(tmp_path / "rbm.safetensors")
    np.testing.assert_allclose(again.sigma, np.linspace(0.5, 2.0, V), rtol=1e-6)
    assert np.array_equal(again.free_energy(rows(7)), rbm.free_energy(rows(7)))
    assert "log_sigma" in dict(again.named_parameters())


def test_a_summary_says_kind_and_sizes():
    assert "5 gaussian visible units, 3 hidden units" in trained().summary()
    assert "parameters: 23" in trained().summary()
    assert "sigma: learnt" in RBM(V, N, learn_sigma=True).summary()
    assert "sigma" not in trained(visible="binary").summary()
