"""What a newcomer gets wrong: one clear error each, that names what came and what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.models import RBM, LiquidForecaster, RBMDetector
from ember_core.pipeline import LiquidNetwork, Pipeline, PipelineConfig
from ember_core.pipeline.fit import fit_liquid
from ember_core.training import SGD, Adam, AdamW, RMSprop, fit_rbm, fit_sequences

B, T, F, H = 7, 5, 3, 11


def rows(backend, *shape, dtype=np.float32):
    return ops.to(np.ones(shape, dtype), backend=backend)


def others(backend):
    """A backend that is not this one."""
    return next(n for n in ops.available_backends() if n != backend)


@pytest.mark.parametrize("made", [SGD, Adam, AdamW, RMSprop])
@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_an_optimiser_refuses_a_rate_that_does_not_descend(made, rate):
    with pytest.raises(ValueError, match="learning_rate"):
        made(learning_rate=rate)


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (SGD, {"momentum": 1.0}),
        (SGD, {"weight_decay": -1e-3}),
        (Adam, {"betas": (0.9, 1.0)}),
        (AdamW, {"epsilon": 0.0}),
        (RMSprop, {"decay": -0.1}),
    ],
)
def test_an_optimiser_refuses_shares_out_of_range(made, wrong):
    with pytest.raises(ValueError, match=r"cannot be set so.*Received:"):
        made(learning_rate=0.1, **wrong)


def test_a_binary_rbm_refuses_to_train_on_other_values(backend):
    x = np.ones((B, F), np.float32)
    x[2, 1] = 3.5
    with pytest.raises(ValueError, match=r"Expected values in \[0, 1\].*from 1 to 3.5"):
        fit_rbm(RBM(F, H, visible="binary"), ops.to(x, backend=backend), generator=ops.generator(1))


@pytest.mark.parametrize("channels", [(), ("a", "b", "a")])
def test_channels_have_different_names(channels):
    with pytest.raises(ValueError, match="different names"):
        PipelineConfig(channels=channels)


def test_a_cell_is_not_refined_for_fewer_than_no_epochs():
    with pytest.raises(ValueError, match="refine=-1"):
        fit_liquid(LiquidNetwork(F), [], refine=-1)


METHODS = ("forward", "drive", "free_energy", "reconstruct", "reconstruction_error")


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
@pytest.mark.parametrize("method", METHODS)
def test_an_rbm_refuses_rows_of_another_width(backend, visible, method):
    rbm = RBM(F, H, visible=visible)
    with pytest.raises(ValueError, match=r"Expected shape \(B, 3\). Received: shape=\(7, 5\)"):
        getattr(rbm, method)(rows(backend, B, T))


@pytest.mark.parametrize("method", METHODS)
def test_an_rbm_refuses_rows_of_another_backend(backend, method):
    if len(ops.available_backends()) < 2:
        pytest.skip("there is one backend only")
    other = others(backend)
    with pytest.raises(TypeError, match=f"Expected: {backend}. Received: {other}"):
        getattr(RBM(F, H), method)(rows(other, B, F))


def test_hidden_values_of_another_width_are_refused(backend):
    with pytest.raises(ValueError, match=r"Hidden values.*\(B, 11\).*\(7, 3\)"):
        RBM(F, H).visible_mean(rows(backend, B, F))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_training_rows_that_are_not_finite_are_refused_and_nothing_is_learnt(backend, bad):
    x = np.ones((B, F), np.float32)
    x[2, 1] = bad
    rbm = RBM(F, H)
    before = {name: ops.to_numpy(value).copy() for name, value in rbm.state_dict().items()}
    with pytest.raises(ValueError, match=r"not finite.*without NaN and infinity"):
        fit_rbm(rbm, ops.to(x, backend=backend), generator=ops.generator(1))
    for name, value in rbm.state_dict().items():
        assert np.array_equal(ops.to_numpy(value), before[name])


def test_an_unfitted_detector_decides_nothing(backend):
    with pytest.raises(ValueError, match=r"not seen rows.*fit_detector"):
        RBMDetector(RBM(F, H))(rows(backend, B, F))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"channels": ()}, r"channels=\(\)"),
        ({"channels": ("a",), "residuals": (6,)}, r"horizons=\(1,\), residuals=\(6,\)"),
    ],
)
def test_a_pipeline_that_cannot_be_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        Pipeline(PipelineConfig(**config))


@pytest.mark.parametrize(
    ("values", "times", "words"),
    [
        ((B, T), np.arange(B), r"values of shape \(7, 3\).*values.shape=\(7, 5\)"),
        ((B, F), np.arange(T), r"for T=5 times.*shape=\(7, 3\)"),
        ((B, F), np.arange(B) + 0.5, "no fraction.*0.5"),
        ((B, F), -np.arange(B), "must increase"),
        ((B, F), np.zeros(B, np.int64), "must increase"),
    ],
)
def test_a_series_that_does_not_fit_a_pipeline_is_refused(values, times, words):
    pipeline = Pipeline(PipelineConfig(channels=("a", "b", "c"), hidden=8, rbm_hidden=5))
    with pytest.raises(ValueError, match=words):
        pipeline(np.ones(values), times)


def test_a_step_of_other_keys_than_the_states_is_refused(backend):
    pipeline = Pipeline(PipelineConfig(channels=("a", "b", "c"), hidden=8, rbm_hidden=5))
    state = pipeline.initial_state(T)
    with pytest.raises(ValueError, match=r"values of shape \(5, 3\)"):
        pipeline.step(
            state, rows(backend, B, F, dtype=np.float64), rows(backend, B, dtype=np.int64)
        )


def test_sequences_that_do_not_fit_a_model_are_refused(backend):
    model = LiquidForecaster(nn.liquid_cell("cfc", F, H), n_targets=2)
    with pytest.raises(ValueError, match=r"\(B, T, 2\).*x.shape=\(7, 5, 3\)"):
        model(rows(backend, B, T, F))
    with pytest.raises(ValueError, match=r"x.shape=\(7, 3\)"):
        model(rows(backend, B, F))
    with pytest.raises(ValueError, match=r"x\[None\]"):
        fit_sequences(model, rows(backend, B, F), generator=ops.generator(1))
