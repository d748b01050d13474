"""Linear maps, activations and chains."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.nn import _layers

B, F, H = 2, 5, 11


def test_linear_is_a_product_and_a_bias():
    layer = nn.Linear(F, H, generator=ops.generator(3))
    layer.bias_vector.data = ops.arange(H, dtype="float32")
    x = ops.random.normal(ops.generator(1), (B, F))
    np.testing.assert_allclose(layer(x), x @ layer.weight.data + np.arange(H), rtol=1e-6)
    assert ops.dtype(layer(x)) == "float32"
    assert set(nn.Linear(F, H, bias=False).state_dict()) == {"weight"}


def test_first_weights_are_the_generators_and_bounded():
    weights = [nn.Linear(F, H, generator=ops.generator(s)).weight.data for s in (3, 3, 5)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    assert np.abs(weights[0]).max() <= (6 / (F + H)) ** 0.5


def test_dropout_leaves_out_its_share_and_keeps_the_mean(backend):
    drop = nn.Dropout(0.25, generator=ops.generator(5))
    x = ops.full((200, 101), 3.0)
    one, other = ops.to_numpy(drop(x)), ops.to_numpy(drop(x))
    assert set(np.unique(one).tolist()) == {0.0, 4.0}
    assert (one == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert not np.array_equal(one, other)
    again = nn.Dropout(0.25, generator=ops.generator(5))
    assert np.array_equal(ops.to_numpy(again(x)), one)
    assert drop.eval()(x) is x
    with pytest.raises(ValueError, match="rate=1"):
        nn.Dropout(1)


def test_layer_norm_gives_every_row_mean_zero_and_variance_one(backend):
    layer = nn.LayerNorm(F)
    x = 7.0 + 3.0 * ops.random.normal(ops.generator(1), (B, F))
    y = ops.to_numpy(layer(x))
    np.testing.assert_allclose(y.mean(1), 0.0, atol=1e-6)
    np.testing.assert_allclose(y.var(1), 1.0, rtol=1e-4)
    layer.scale.data, layer.shift.data = ops.full((F,), 2.0), ops.ones((F,))
    np.testing.assert_allclose(ops.to_numpy(layer(x)), 2 * y + 1, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(_layers._ACTIVATIONS))
def test_every_activation_keeps_shape_and_dtype(backend, name):
    x = ops.random.normal(ops.generator(1), (B, F))
    y = nn.Activation(name)(x)
    assert (ops.shape(y), ops.dtype(y)) == ((B, F), "float32")
    assert name == "identity" or not np.array_equal(ops.to_numpy(y), ops.to_numpy(x))


def test_lecun_tanh_is_one_at_one():
    assert float(nn.lecun_tanh(ops.asarray(1.0))) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("make", [lambda: nn.Linear(0, 3), lambda: nn.Sequential([])])
def test_empty_layers_are_refused(make):
    with pytest.raises(ValueError, match="Expected"):
        make()


def test_unknown_activation_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"lecun_tanh.*Received: activation='wavy'"):
        nn.Activation("wavy")


def test_input_of_another_width_is_refused(backend):
    with pytest.raises(
        ValueError, match=r"Expected shape \(\.\.\., 5\)\. Received: shape=\(2, 7\)"
    ):
        nn.Linear(F, H)(ops.ones((B, 7)))


def test_a_wider_dtype_widens_the_result_on_every_backend(backend):
    wide = nn.Linear(F, H)(ops.ones((B, F), "float64"))
    assert ops.dtype(wide) == "float64"
