"""The RBM against exact enumeration, and against the numbers of the original implementation.

All of it on each backend, in float64: `rbm.free_energy` of `on(v)` is compared as `host(...)`.
"""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.models import RBM
from ember_core.ops.dispatch import load_backend
from ember_core.pipeline import freeze_rbm
from ember_core.training import fit_rbm

CLOSE = {"rtol": 1e-9, "atol": 1e-12}


GRADIENTS = {"weights": "W", "visible_bias": "bv", "hidden_bias": "bh"}
on, host = ops.from_numpy, ops.to_numpy


@pytest.fixture(autouse=True)
def on_every_backend(backend):
    """Each test runs on NumPy, PyTorch and MLX."""


@pytest.fixture(scope="module")
def exact(golden_data):
    return np.load(golden_data / "rbm_bruteforce_reference.npz")


@pytest.fixture(scope="module")
def original(golden_data):
    return np.load(golden_data / "ember_rbm_original.npz")


def make(w, bv, bh, visible="binary", sigma=None):
    rbm = RBM(*w.shape, visible=visible)
    rbm.assign({"weights": on(w), "visible_bias": on(bv), "hidden_bias": on(bh)})
    rbm.sigma = on(np.ones(len(w)) if sigma is None else sigma)
    return rbm


def from_file(arrays, prefix="", names=("W", "bv", "bh")):
    return make(*(arrays[prefix + name] for name in names))


def test_binary_free_energy_is_the_enumerated_one(exact):
    rbm = from_file(exact)
    free = host(rbm.free_energy(on(exact["V"])))
    np.testing.assert_allclose(free, exact["free_energy"], **CLOSE)
    np.testing.assert_allclose(-free - exact["logZ"], exact["log_p"], **CLOSE)


@pytest.mark.parametrize("prefix", ["gauss", "gauss_unit"])
def test_gaussian_model_is_the_enumerated_one(exact, prefix):
    """The reference has `v / sigma^2`; this RBM has `v / sigma`, so weights go over `sigma`."""
    sigma = exact["gauss/sigma"] if prefix == "gauss" else np.ones(6)
    rbm = make(exact["W"] / sigma[:, None], exact["bv"], exact["bh"], "gaussian", sigma)
    v = exact["gauss/V"]
    np.testing.assert_allclose(
        host(rbm.free_energy(on(v))), exact[f"{prefix}/free_energy"], **CLOSE
    )
    np.testing.assert_allclose(host(rbm(on(v))), exact[f"{prefix}/hidden_probs"], **CLOSE)
    means = exact[f"{prefix}/visible_mean_given_H"]
    np.testing.assert_allclose(host(rbm.visible_mean(on(exact["H"]))), means, **CLOSE)
    frozen = host(freeze_rbm(rbm).free_energy(on(v)))
    np.testing.assert_allclose(frozen, exact[f"{prefix}/free_energy"], rtol=1e-5, atol=1e-4)


def test_original_left_out_the_quadratic_term(exact):
    wrong = exact["gauss_unit/free_energy_EMBER_ORIGINAL_WRONG"]
    rbm = make(exact["W"], exact["bv"], exact["bh"], "gaussian")
    v, b = exact["gauss/V"], exact["bv"]
    binary = host(from_file(exact).free_energy(on(v)))
    np.testing.assert_allclose(binary, wrong, **CLOSE)
    missing = 0.5 * (v**2).sum(axis=1) + 0.5 * (b**2).sum()
    np.testing.assert_allclose(host(rbm.free_energy(on(v))) - wrong, missing, **CLOSE)
    assert not np.array_equal(np.argsort(host(rbm.free_energy(on(v)))), np.argsort(wrong))


@pytest.mark.parametrize("rows", ["X", "X_test"])
def test_hidden_reconstruction_and_energy_are_the_originals(original, rows):
    rbm, v = from_file(original), on(original[rows])
    np.testing.assert_allclose(host(rbm(v)), original[f"{rows}/hidden_probs"], **CLOSE)
    np.testing.assert_allclose(
        host(rbm.reconstruct(v)), original[f"{rows}/reconstruction"], **CLOSE
    )
    np.testing.assert_allclose(
        host(rbm.reconstruction_error(v)), original[f"{rows}/recon_error"], **CLOSE
    )
    np.testing.assert_allclose(host(rbm.free_energy(v)), original[f"{rows}/free_energy"], **CLOSE)
    wrong_sign = original[f"{rows}/score_free_energy_ORIGINAL_SIGN"]
    np.testing.assert_allclose(host(rbm.free_energy(v)), -wrong_sign, **CLOSE)


def learn(original, x, k, sample, generator):
    rbm = from_file(original)
    rate, momentum, decay = original["cd_hparams"]
    history = fit_rbm(
        rbm,
        [on(x[i : i + 16]) for i in range(0, len(x), 16)],
        epochs=1,
        learning_rate=rate,
        momentum=momentum,
        weight_decay=decay,
        k=k,
        sample=sample,
        generator=generator,
    )
    return rbm, history


def assert_learnt(rbm, history, original, prefix):
    for name, key in (("weights", "W"), ("visible_bias", "bv"), ("hidden_bias", "bh")):
        np.testing.assert_allclose(
            host(rbm.state_dict()[name]), original[f"{prefix}/{key}"], **CLOSE, err_msg=name
        )
    errors = original[f"{prefix}/errors"]
    assert history["reconstruction_error"] == pytest.approx([errors.mean()], rel=1e-9)


@pytest.mark.parametrize("k", [1, 3])
def test_mean_field_contrastive_divergence_is_the_originals(original, k):
    rbm, history = learn(original, original["X"], k, "none", ops.generator(0))
    assert_learnt(rbm, history, original, f"cd{k}_prob")


@pytest.mark.parametrize("k", [1, 2])
def test_sampled_contrastive_divergence_is_the_originals_draw_for_draw(
    monkeypatch, backend, original, k
):
    """The original also drew the last hidden states of each batch, which nothing used."""
    prefix, draws = f"cd{k}_bin", 2 * k + 1
    used = [
        original[f"{prefix}/u{i:02d}"]
        for i in range(int(original[f"{prefix}/n_draws"]))
        if i % draws != draws - 1
    ]
    uniforms = iter(used)

    def recorded(generator, shape, dtype="float32"):
        drawn = next(uniforms)
        assert drawn.shape == tuple(shape)
        return on(drawn)

    monkeypatch.setattr(load_backend(backend), "uniform", recorded)
    rbm, history = learn(original, original[f"{prefix}/X"], k, "all", ops.generator(0))
    assert_learnt(rbm, history, original, prefix)
    assert next(uniforms, None) is None


def test_training_and_thresholds_are_the_originals_on_the_right_tail(original, golden_data):
    rbm = from_file(original)
    x, x_test = original["X"], original["X_test"]
    batches = [on(x[i : i + 16]) for i in range(0, 48, 16)]
    options = {"epochs": 5, "learning_rate": 0.05, "momentum": 0.5, "weight_decay": 1e-4}
    history = fit_rbm(rbm, batches, sample="none", generator=ops.generator(0), **options)
    np.testing.assert_allclose(history["reconstruction_error"], original["train/errors"], **CLOSE)
    for name, key in (("weights", "W"), ("visible_bias", "bv"), ("hidden_bias", "bh")):
        np.testing.assert_allclose(host(rbm.state_dict()[name]), original[f"train/{key}"], **CLOSE)
    errors, free = host(rbm.reconstruction_error(on(x))), host(rbm.free_energy(on(x)))
    np.testing.assert_allclose(errors, original["train/X_recon_error"], **CLOSE)
    np.testing.assert_allclose(free, original["train/X_free_energy"], **CLOSE)

    threshold = original["train/recon_threshold_p95"]
    assert np.quantile(errors, 0.95) == pytest.approx(float(threshold), rel=1e-9)
    flagged = host(rbm.reconstruction_error(on(x_test))) > threshold
    assert np.array_equal(flagged, original["train/Xtest_is_anomaly_recon"])

    right = original["train/fe_threshold_p95_CORRECT"]
    wrong = original["train/fe_threshold_p5_ORIGINAL"]
    assert np.quantile(free, 0.95) == pytest.approx(float(right), rel=1e-9)
    assert np.quantile(free, 0.05) == pytest.approx(float(wrong), rel=1e-9)
    test = host(rbm.free_energy(on(x_test)))
    np.testing.assert_allclose(test, original["train/Xtest_free_energy"], **CLOSE)
    assert not np.array_equal(test > right, original["train/Xtest_is_anomaly_fe_ORIGINAL_WRONG"])

    later = np.load(golden_data / "ember_rbm_HEAD_thresholds.npz")
    assert np.sort(errors)[int(0.95 * 48)] == pytest.approx(
        float(later["recon_threshold_sorted_floor95"]), rel=1e-9
    )
    assert np.sort(free)[int(0.05 * 48)] == pytest.approx(
        float(later["fe_threshold_sorted_floor05"]), rel=1e-9
    )


def test_contrastive_divergence_goes_up_the_exact_likelihood(exact):
    """CD-1's direction agrees with the enumerated gradient, and training raises the likelihood."""
    rbm = from_file(exact)
    before = -host(rbm.free_energy(on(exact["Xb"]))).mean() - log_z(rbm, exact)
    assert before == pytest.approx(float(exact["loglik_Xb"]), rel=1e-9)
    fit_rbm(
        rbm,
        on(exact["Xb"]),
        epochs=200,
        batch_size=48,
        learning_rate=0.05,
        generator=ops.generator(1),
    )
    after = -host(rbm.free_energy(on(exact["Xb"]))).mean() - log_z(rbm, exact)
    assert after > before + 0.1


def log_z(rbm, exact):
    return np.logaddexp.reduce(-host(rbm.free_energy(on(exact["V"]))))


def test_gradient_of_the_exact_likelihood_is_the_enumerated_one(exact, gradients):
    """By automatic differentiation of mean(-F(X)) - log Z, Z summed over all visible states."""
    data, states = on(exact["Xb"]), on(exact["V"])

    def likelihood(arrays):
        rbm = RBM(6, 5, visible="binary")
        rbm.assign(arrays)
        return -ops.mean(rbm.free_energy(data)) - ops.logsumexp(-rbm.free_energy(states))

    arrays = {n: on(exact[k]) for n, k in GRADIENTS.items()}
    value, grads = ops.value_and_grad(likelihood)(arrays)
    assert float(value) == pytest.approx(float(exact["loglik_Xb"]), rel=1e-9)
    for name, key in GRADIENTS.items():
        np.testing.assert_allclose(host(grads[name]), exact[f"grad_{key}"], **CLOSE, err_msg=name)
