"""Gradients of every cell and layer by every parameter, against differences, on each backend."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.models import RBM
from tests.core.nn.test_cells import MAKERS

B, T, F, H = 2, 3, 5, 11
STEP = 1e-6
LAYERS = {
    "linear": lambda g: nn.Linear(F, H, generator=g),
    "layer_norm": lambda g: nn.LayerNorm(F),
    "chain": lambda g: nn.Sequential(
        [nn.Linear(F, 7, generator=g), nn.Activation("lecun_tanh"), nn.Linear(7, 3, generator=g)]
    ),
}


def inputs(*shape):
    return ops.from_numpy(np.random.default_rng(len(shape)).standard_normal(shape))


def run_cell(cell):
    """A scalar of three steps over irregular times."""

    def loss():
        state, total = ops.astype(cell.initial_state(inputs(B, F)), "float64"), 0.0
        for t in range(T):
            elapsed = ops.full((B, 1), 0.3 + 0.9 * t, "float64")
            out, state = cell(inputs(T, B, F)[t], state, elapsed)
            total = total + ops.sum(ops.sin(3.0 * out)) + ops.sum(ops.square(state))
        return total

    return loss


def assert_gradients_are_differences(module, loss):
    """Along one random direction of each parameter, central differences."""
    value, grads = nn.value_and_grad(module, loss)()
    parameters = dict(module.named_parameters())
    assert grads.keys() == parameters.keys()
    assert float(value) == pytest.approx(float(loss()), rel=1e-10)
    rng = np.random.default_rng(5)
    for name, parameter in parameters.items():
        assert ops.dtype(grads[name]) == "float64"
        assert parameter.grad is grads[name]
        before = parameter.data
        way = rng.standard_normal(parameter.shape)
        ends = []
        for step in (STEP, -STEP):
            parameter.data = before + ops.from_numpy(step * way)
            ends.append(float(loss()))
        parameter.data = before
        expected = (ends[0] - ends[1]) / (2 * STEP)
        got = float(np.sum(ops.to_numpy(grads[name]) * way))
        assert got == pytest.approx(expected, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("name", MAKERS)
def test_gradients_of_a_cell(gradients, name):
    cell = MAKERS[name](generator=ops.generator(3)).to(dtype="float64")
    assert_gradients_are_differences(cell, run_cell(cell))


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_a_layer(gradients, name):
    layer = LAYERS[name](ops.generator(3)).to(dtype="float64")
    assert_gradients_are_differences(
        layer, lambda: ops.sum(ops.sin(layer(inputs(B, F))) * inputs(B, 1))
    )


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
def test_gradients_of_the_free_energy(gradients, visible):
    rbm = RBM(F, H, visible=visible, generator=ops.generator(3)).to(dtype="float64")
    assert_gradients_are_differences(rbm, lambda: ops.sum(rbm.free_energy(inputs(B, F))))


def test_what_is_not_trainable_gets_no_gradient(gradients):
    layer = nn.Linear(F, 3)
    layer.weight.trainable = False
    loss = lambda x: (ops.sum(layer(x)), layer(x))  # noqa: E731
    (value, seen), grads = nn.value_and_grad(layer, loss)(ops.ones((B, F)))
    assert list(grads) == ["bias_vector"]
    assert ops.to_numpy(grads["bias_vector"]).tolist() == [float(B)] * 3
    assert layer.weight.grad is None
    assert float(value) == pytest.approx(float(np.sum(ops.to_numpy(seen))))
    assert "trainable=False" in repr(layer.weight)
    layer.bias_vector.trainable = False
    with pytest.raises(ValueError, match="nothing to differentiate"):
        nn.value_and_grad(layer, loss)(ops.ones((B, F)))


def test_parameters_are_as_before_when_the_loss_fails(gradients):
    layer = nn.Linear(F, 3)
    before = layer.weight.data
    with pytest.raises(ZeroDivisionError):
        nn.value_and_grad(layer, lambda: 1 / 0)()
    assert layer.weight.data is before
