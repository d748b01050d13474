"""Training an RBM: it learns, it repeats, it neither diverges nor swallows bad data."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.models import RBM
from ember_core.train import contrastive_divergence, cosine, fit_rbm

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
    assert len(history.reconstruction_error) == history.epochs == 60
    assert history.steps == 60 * 16
    assert history.reconstruction_error[-1] < 0.5 * history.reconstruction_error[0]
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

    gradients, _, _ = contrastive_divergence(rbm, seen, sample="none", generator=None)
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
    assert np.isfinite(history.reconstruction_error).all()
    assert np.isfinite(rbm.frozen().free_energy(data)).all()
    if rate == 1e-2:
        assert rbm.reconstruction_error(data, per_sample=False) < (data**2).sum(axis=1).mean()


def test_weights_stay_within_what_can_be_frozen_for_any_sigma():
    rbm = RBM(V, N)
    rbm.sigma = np.linspace(0.2, 5.0, V).astype("float32")
    fit_rbm(rbm, telemetry() * 3, epochs=2, learning_rate=2.0, generator=ops.generator(1))
    assert np.isfinite(rbm.frozen().free_energy(telemetry())).all()


def test_array_list_and_function_are_read_every_epoch():
    data = telemetry(500)
    batches = [data[:200], data[200:]]
    _, listed = fit(batches, epochs=3)
    _, called = fit(lambda: iter(batches), epochs=3)
    _, once = fit(iter(batches), epochs=1)
    assert listed == called
    assert (listed.epochs, listed.steps, once.steps) == (3, 6, 2)
    assert listed.reconstruction_error[0] == once.reconstruction_error[0]


def test_a_one_shot_iterator_is_refused_for_more_epochs():
    with pytest.raises(ValueError, match=r"only once.*each of 5 epochs. Received: list_iterator"):
        fit(iter([telemetry()]))


def test_a_function_that_gives_an_exhausted_iterator_is_found_out():
    spent = iter([telemetry()])
    with pytest.raises(ValueError, match="Epoch 2 of the training has no rows"):
        fit(lambda: spent)


@pytest.mark.parametrize("data", [np.zeros((0, V), "float32"), []])
def test_no_data_is_refused(data):
    with pytest.raises(ValueError, match="Epoch 1 of the training has no rows"):
        fit(data)


@pytest.mark.parametrize("data", [np.zeros((5, V + 2)), [np.zeros(V)], np.zeros(V)])
def test_data_of_another_shape_are_refused(data):
    with pytest.raises(ValueError, match=f", {V}\\).*Received: shape="):
        fit(data)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite_are_refused_and_leave_a_usable_model(value):
    data = telemetry(400)
    data[300, 3] = value
    rbm = RBM(V, N)
    with pytest.raises(ValueError, match="batch 2 of epoch 1"), np.errstate(invalid="ignore"):
        fit_rbm(rbm, [data[:200], data[200:]], generator=ops.generator(0))
    assert np.isfinite(rbm.free_energy(telemetry(7))).all()


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"k": 0}, {"momentum": 1.0}, {"sample": "some"}, {"batch_size": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"Received: .*{next(iter(wrong))}="):
        fit(telemetry(100), **wrong)


def test_callbacks_see_every_epoch_and_can_end_it():
    seen = []

    def stop_after_three(rbm, history):
        seen.append((type(rbm), history.epochs))
        return history.epochs == 3

    late = []
    _, history = fit(
        telemetry(300), epochs=9, callbacks=[stop_after_three, lambda rbm, h: late.append(1)]
    )
    assert history.epochs == 3
    assert seen == [(RBM, 1), (RBM, 2), (RBM, 3)]
    assert len(late) == 3


def test_the_rate_may_be_a_schedule():
    rbm, _ = fit(telemetry(300), learning_rate=cosine(0.02, 10))
    assert np.isfinite(rbm.weights.data).all()


def test_training_data_are_left_as_they_are():
    data = telemetry(300)
    before = data.copy()
    fit(data)
    assert np.array_equal(data, before)
