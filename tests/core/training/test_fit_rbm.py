"""Training an RBM: it learns, it repeats, it neither diverges nor swallows bad data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ember_core import ops
from ember_core.models import RBM
from ember_core.pipeline import freeze_rbm
from ember_core.training import Adam, contrastive_divergence, cosine, fit_rbm

V, N = 11, 7


def telemetry(rows=2000, seed=0, width=V):
    """Standardised rows with two factors behind them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 2)) @ rng.standard_normal((2, width))
    x += 0.3 * rng.standard_normal((rows, width))
    return np.clip((x - x.mean(0)) / x.std(0), -10, 10).astype("float32")


def fit(data, seed=5, visible="gaussian", **options):
    rbm = RBM(V, N, visible=visible, generator=ops.generator(seed))
    options = {"epochs": 5, "generator": ops.generator(seed)} | options
    return rbm, fit_rbm(rbm, data, **options)


def test_error_falls_and_broken_structure_is_found_improbable():
    data = telemetry()
    rbm, history = fit(data, epochs=60)
    assert len(history["reconstruction_error"]) == history.epochs == 60
    assert history.steps == 60 * 16
    assert history["reconstruction_error"][-1] < 0.5 * history["reconstruction_error"][0]
    fresh = telemetry(seed=0)[:500]
    shuffled = np.random.default_rng(1).permuted(fresh, axis=0)  # same marginals, no correlation
    normal, broken = rbm.free_energy(fresh), rbm.free_energy(shuffled)
    assert (broken[:, None] > normal).mean() > 0.9


@pytest.mark.parametrize("sample", ["hidden", "all", "none"])
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("visible", ["gaussian", "binary"])
def test_every_kind_learns_and_repeats(sample, persistent, visible):
    data = telemetry() if visible == "gaussian" else (telemetry() > 0).astype("float32")
    options = {"sample": sample, "persistent": persistent, "visible": visible, "k": 2}
    one, _ = fit(data, **options)
    same, _ = fit(data, **options)
    assert np.array_equal(one.weights.data, same.weights.data)
    before = RBM(V, N, visible=visible).reconstruction_error(data, per_sample=False)
    assert one.reconstruction_error(data, per_sample=False) < before
    assert {ops.dtype(x) for x in one.state_dict().values()} == {"float32"}


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
def test_gradient_is_the_difference_of_free_energy_gradients(visible):
    rng = np.random.default_rng(3)
    rbm = RBM(V, N, visible=visible).astype("float64")
    rbm.assign({"weights": rng.standard_normal((V, N)), "hidden_bias": rng.standard_normal(N)})
    if visible == "gaussian":
        rbm.sigma = rng.uniform(0.5, 2.0, V)
    seen = rng.random((5, V))

    def numeric(name, v):
        value, out = rbm.state_dict()[name], np.zeros_like(rbm.state_dict()[name])
        for i in np.ndindex(value.shape):
            for sign in (1, -1):
                value[i] += sign * 1e-6
                out[i] += sign * rbm.free_energy(v).mean() / 2e-6
                value[i] -= sign * 1e-6
        return out

    gradients = contrastive_divergence(rbm, seen, sample="none", generator=None).gradients
    mean = rbm.visible_mean(rbm(seen))
    for name, gradient in gradients.items():
        np.testing.assert_allclose(
            gradient, numeric(name, seen) - numeric(name, mean), rtol=1e-5, atol=1e-8
        )


@pytest.mark.parametrize("width", [83, 419])
@pytest.mark.parametrize("kind", ["correlated", "spikes", "heavy", "unscaled"])
@pytest.mark.parametrize("rate", [1e-2, 1.0])
def test_hard_data_and_rates_do_not_make_it_diverge(width, kind, rate):
    rng = np.random.default_rng(7)
    data = rng.standard_normal((1000, width))
    if kind == "correlated":
        data = 0.3 * data + 3.0 * rng.standard_normal((1000, 1))
    elif kind == "spikes":
        data[rng.random(1000) < 0.02] += 10.0
    elif kind == "heavy":
        data = rng.standard_t(1.2, (1000, width))
    else:
        data += 10.0
    data = np.clip(data, -10, 10).astype("float32")
    rbm = RBM(width, 61)
    history = fit_rbm(rbm, data, epochs=3, learning_rate=rate, generator=ops.generator(1))
    assert np.isfinite(history["reconstruction_error"]).all()
    assert np.isfinite(freeze_rbm(rbm).free_energy(data)).all()
    if rate == 1e-2:
        assert rbm.reconstruction_error(data, per_sample=False) < (data**2).sum(axis=1).mean()


def test_weights_stay_within_what_can_be_frozen_for_any_sigma():
    rbm = RBM(V, N)
    rbm.sigma = np.linspace(0.2, 5.0, V).astype("float32")
    fit_rbm(rbm, telemetry() * 3, epochs=2, learning_rate=2.0, generator=ops.generator(1))
    assert np.isfinite(freeze_rbm(rbm).free_energy(telemetry())).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite_are_refused_and_leave_a_usable_model(value):
    data = telemetry(400)
    data[300, 3] = value
    rbm = RBM(V, N)
    with pytest.raises(ValueError, match="batch 2 of epoch 1"), np.errstate(invalid="ignore"):
        fit_rbm(rbm, [data[:200], data[200:]], batch_size=200, generator=ops.generator(0))
    assert np.isfinite(rbm.free_energy(telemetry(7))).all()


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"k": 0}, {"momentum": 1.0}, {"sample": "some"}, {"batch_size": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"Received: .*{next(iter(wrong))}="):
        fit(telemetry(100), **wrong)


def test_the_rate_may_be_a_schedule():
    rbm, _ = fit(telemetry(300), learning_rate=cosine(0.02, 10))
    assert np.isfinite(rbm.weights.data).all()


def test_training_data_are_left_as_they_are():
    data = telemetry(300)
    before = data.copy()
    fit(data)
    assert np.array_equal(data, before)


def test_gradient_of_sigma_is_that_of_the_free_energy():
    """Data minus samples; in float64, by finite differences of the mean free energy."""
    rng = np.random.default_rng(3)
    rbm = RBM(V, N, learn_sigma=True).astype("float64")
    rbm.assign({"weights": rng.standard_normal((V, N)), "log_sigma": rng.uniform(-0.5, 0.5, V)})
    seen = rng.standard_normal((5, V))

    def numeric(v):
        out = np.zeros(V)
        for i in range(V):
            for sign in (1, -1):
                rbm.log_sigma.data[i] += sign * 1e-6
                out[i] += sign * rbm.free_energy(v).mean() / 2e-6
                rbm.log_sigma.data[i] -= sign * 1e-6
        return out

    gradients = contrastive_divergence(rbm, seen, sample="none", generator=None).gradients
    expected = numeric(seen) - numeric(rbm.visible_mean(rbm(seen)))
    np.testing.assert_allclose(gradients["log_sigma"], expected, rtol=1e-5, atol=1e-8)


def test_learnt_sigma_finds_the_deviations_of_independent_columns():
    deviations = np.linspace(0.4, 2.0, V)
    data = (np.random.default_rng(1).standard_normal((4000, V)) * deviations).astype("float32")
    rbm = RBM(V, 2, learn_sigma=True)
    assert "sigma" not in rbm.state_dict()
    fit_rbm(rbm, data, epochs=30, learning_rate=0.02, weight_decay=0.01, generator=ops.generator(1))
    np.testing.assert_allclose(rbm.sigma, deviations, rtol=0.1)
    assert np.isfinite(freeze_rbm(rbm).free_energy(data)).all()


def test_sigma_is_not_learnt_from_means():
    rbm = RBM(V, N, learn_sigma=True)
    with pytest.raises(ValueError, match=r"Expected sample='all'\. Received: sample='hidden'"):
        fit_rbm(rbm, telemetry(), sample="hidden", generator=ops.generator(1))
    with pytest.raises(ValueError, match="Binary units have no sigma"):
        RBM(V, N, visible="binary", learn_sigma=True)


def test_a_sparsity_target_is_neared():
    data = (telemetry() > 0).astype("float32")
    means = []
    for target in (None, 0.1):
        rbm, _ = fit(
            data,
            visible="binary",
            sparsity_target=target,
            sparsity_cost=3.0,
            learning_rate=0.05,
            epochs=40,
        )
        means.append(float(rbm(data).mean()))
    assert abs(means[1] - 0.1) < 0.3 * abs(means[0] - 0.1)
    with pytest.raises(ValueError, match=r"sparsity_target=1\.5"):
        fit(data, sparsity_target=1.5)


def test_another_optimiser_and_momentum_by_schedule_learn_too():
    for options in ({"optimizer": Adam(0.01)}, {"momentum": lambda step: min(0.9, step / 50)}):
        _, history = fit(telemetry(), epochs=20, **options)
        errors = history["reconstruction_error"]
        assert errors[-1] < 0.7 * errors[0]


def test_binary_data_of_other_dtypes_give_the_same_model():
    data = telemetry() > 0
    expected, _ = fit(data.astype("float32"), visible="binary")
    for dtype in ("bool", "int64", "float64"):
        rbm, _ = fit(data.astype(dtype), visible="binary")
        assert np.array_equal(rbm.weights.data, expected.weights.data)
        assert ops.dtype(rbm.weights.data) == "float32"


def test_persistent_chains_measure_their_error_too():
    _, history = fit(telemetry(), persistent=True, epochs=30, learning_rate=0.02)
    errors = history["reconstruction_error"]
    assert len(errors) == 30
    assert errors[-1] < errors[0]


@pytest.mark.parametrize(
    ("convert", "words"),
    [
        (lambda v: v.astype(object), None),
        (lambda v: pd.DataFrame(v), None),
        (lambda v: pd.DataFrame(v).astype("Float32"), None),
        (lambda v: np.where(v == v[3, 1], np.nan, v), "not finite"),
        (lambda v: pd.DataFrame(v).astype("Float32").mask(pd.DataFrame(v) == v[3, 1]), "not fin"),
        (lambda v: v.astype(str), "are numbers"),
        (lambda v: pd.DataFrame(v).astype(str), "are numbers"),
        (lambda v: v.astype("datetime64[s]"), "are numbers"),
        (lambda v: v.tolist(), "does not fit the model"),
        (lambda v: v[:, 0], "does not fit the model"),
        (lambda v: v.T, "does not fit the model"),
        (lambda v: v[:0], "no rows"),
    ],
)
def test_rows_of_any_type_are_those_numbers_or_one_clear_error(convert, words):
    rows = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)

    def train(data):
        rbm = RBM(3, 4, visible="gaussian", generator=ops.generator(0))
        fit_rbm(rbm, data, epochs=2, generator=ops.generator(1))
        return ops.to_numpy(rbm.weights.data)

    if words is None:
        assert (train(convert(rows)) == train(rows)).all()
    else:
        with pytest.raises(ValueError, match=words):
            train(convert(rows))
