"""Forecasters and autoencoders: what they say, how unusual it is, and how they learn it."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.models import ElapsedScale, LiquidAutoencoder, LiquidForecaster
from ember_core.training import EarlyStop, fit_sequences

B, T, F, H = 3, 7, 2, 13
MODELS = {
    "forecaster": lambda: LiquidForecaster(nn.liquid_cell("cfc", F, H), F),
    "autoencoder": lambda: LiquidAutoencoder(
        nn.liquid_cell("cfc", F, H), nn.liquid_cell("cfc", 1, H)
    ),
}
EACH = pytest.mark.parametrize("name", MODELS)


def waves(rows, steps, seed=1):
    """A point on a circle at irregular times: `(rows, steps, 2)` and times `(rows, steps)`."""
    rng = np.random.default_rng(seed)
    dt = rng.exponential(0.5, (rows, steps))
    t = np.cumsum(dt, axis=1) + rng.uniform(0, 6, (rows, 1))
    x = np.stack([np.sin(t), np.cos(t)], axis=2) + 0.03 * rng.standard_normal((rows, steps, 2))
    return (ops.from_numpy(v.astype("float32")) for v in (x, dt))


def close(actual, expected):
    np.testing.assert_allclose(ops.to_numpy(actual), ops.to_numpy(expected), rtol=1e-4, atol=1e-5)


@EACH
def test_row_by_row_is_the_whole_sequence(backend, name):
    model = MODELS[name]()
    x, dt = waves(B, T)
    whole, last = model(x, elapsed=dt)
    assert [ops.shape(v) for v in whole] == [(B, T, F), (B, T), (B, T)]
    state = None
    for t in range(T):
        reading, state = model(x[:, t : t + 1], state, dt[:, t : t + 1])
        for part, of_all in zip(reading, whole, strict=True):
            close(part, of_all[:, t : t + 1])
    close(state, last)


def test_error_is_that_of_the_forecast_made_one_row_before():
    model = MODELS["forecaster"]()
    x, dt = waves(B, T)
    reading, _ = model(x, elapsed=dt)
    error = ((x[:, 1:] - reading.output[:, :-1]) ** 2).mean(axis=2)
    np.testing.assert_allclose(reading.error[:, 1:], error, rtol=1e-4, atol=1e-6)
    assert not reading.error[:, 0].any()
    assert not reading.score[:, 0].any()


def test_a_forecast_does_not_see_the_row_it_is_of():
    model = MODELS["forecaster"]()
    x, dt = waves(B, T)
    changed = x.copy()
    changed[:, 4:] += 1.0
    before, after = (model(v, elapsed=dt)[0] for v in (x, changed))
    assert np.array_equal(before.output[:, :4], after.output[:, :4])
    assert np.array_equal(before.score[:, :4], after.score[:, :4])
    assert (before.error[:, 4] != after.error[:, 4]).all()


def test_other_columns_than_the_input_can_be_the_target():
    x, dt = waves(B, T)
    for model in (
        LiquidForecaster(nn.liquid_cell("ncp", F, H), 5),
        LiquidAutoencoder(nn.liquid_cell("ncp", F, H), nn.liquid_cell("lstm", 1, H), 5),
    ):
        reading, _ = model(x, elapsed=dt, target=np.ones((B, T, 5), "float32"))
        assert reading.output.shape == (B, T, 5)


@EACH
@pytest.mark.parametrize(
    "backend",
    [*(pytest.param(n, marks=pytest.mark.slow) for n in ("numpy", "torch")), "mlx"],
    indirect=True,
)
def test_it_learns_and_finds_what_is_out_of_line(gradients, name):
    model = MODELS[name]()
    x, dt = waves(61, 17)
    stop = EarlyStop("validation_loss", patience=5)
    history = fit_sequences(
        model,
        x,
        elapsed=dt,
        epochs=12,
        batch_size=13,
        validation_share=0.2,
        generator=ops.generator(1),
        callbacks=[stop],
    )
    assert history["loss"][-1] < 0.85 * history["loss"][0]
    fresh, times = waves(19, 17, seed=2)
    normal = ops.to_numpy(model(fresh, elapsed=times)[0].score)[:, 1:]
    assert abs(normal.mean()) < 0.5
    assert 0.6 < normal.std() < 1.6
    broken = ops.to_numpy(fresh).copy()
    broken[:, 11] *= -3.0
    scores = ops.to_numpy(model(ops.from_numpy(broken), elapsed=times)[0].score)
    assert np.median(scores[:, 11]) > np.quantile(normal, 0.9)


def test_masked_steps_teach_nothing():
    x, dt = waves(11, T)
    mask = np.ones((11, T), bool)
    mask[::2, 5:] = False
    torn = x.copy()
    torn[::2, 5:] = np.nan
    ends = []
    for rows in (x, torn):
        model = MODELS["autoencoder"]()
        fit_sequences(
            model,
            rows,
            elapsed=dt,
            mask=mask,
            target=np.nan_to_num(rows),
            epochs=2,
            generator=ops.generator(1),
        )
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        np.testing.assert_allclose(ends[1][name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_after_a_gap_the_same_error_is_less_unusual(backend):
    scale = ElapsedScale(2)
    usual = {"usual": [-2.0, 1.5, 0.5], "deviation": [0.5, 2.0]}
    scale.assign({name: ops.asarray(v, dtype="float32") for name, v in usual.items()})
    errors = ops.asarray([[0.3, 0.4]] * 2, dtype="float32")
    near, far = scale(errors, ops.asarray([[1.0], [20.0]], dtype="float32"))
    mean = 0.5 * (0.6**2 + 0.2**2)
    assert float(near[0]) == pytest.approx((np.log(mean) + 2.0 - 1.5 * np.log(2.0)) / 0.5, rel=1e-5)
    assert float(far[0]) < float(near[0])


def test_scores_are_calibrated_for_the_time_that_passed():
    """A forecast of noise that grows with the gap: the score's mean must not depend on the gap."""
    rng = np.random.default_rng(1)
    dt = rng.exponential(3.0, (61, 17)).astype("float32")
    walk = np.cumsum(rng.standard_normal((61, 17, F)) * np.sqrt(dt)[:, :, None], axis=1)
    model = MODELS["forecaster"]()
    x = (0.2 * walk).astype("float32")
    fit_sequences(model, x, elapsed=dt, epochs=1, generator=ops.generator(1))
    reading, _ = model(x, elapsed=dt)
    score, gap = reading.score[:, 1:], dt[:, 1:]
    short, long = gap < np.quantile(gap, 0.3), gap > np.quantile(gap, 0.7)
    errors = reading.error[:, 1:]
    assert np.median(errors[long]) > 3.0 * np.median(errors[short])
    assert abs(score[long].mean() - score[short].mean()) < 0.35


@EACH
def test_file_brings_back_weights_and_calibration(backend, name, tmp_path):
    model = MODELS[name]()
    model.scale.assign({"usual": ops.asarray([-2.0, 1.5, 0.5], dtype="float32")})
    model.save(tmp_path / "model.safetensors")
    again = type(model).load(tmp_path / "model.safetensors")
    assert again.get_config() == model.get_config()
    x, dt = waves(B, T)
    for one, other in zip(model(x, elapsed=dt)[0], again(x, elapsed=dt)[0], strict=True):
        assert np.array_equal(ops.to_numpy(one), ops.to_numpy(other))


def test_a_sequence_of_one_step_cannot_calibrate_a_forecaster():
    with pytest.raises(ValueError, match=r"no error to calibrate.*shape=\(3, 1, 2\)"):
        fit_sequences(
            MODELS["forecaster"](),
            np.ones((B, 1, F), "float32"),
            epochs=1,
            generator=ops.generator(1),
        )
