"""Linear maps, activations and chains."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops

B, F, H = 2, 5, 11


def test_linear_is_a_product_and_a_bias():
    layer = nn.Linear(F, H, generator=ops.generator(3))
    layer.bias_vector.data = ops.arange(H, dtype="float32")
    x = ops.normal(ops.generator(1), (B, F))
    np.testing.assert_allclose(layer(x), x @ layer.weight.data + np.arange(H), rtol=1e-6)
    assert ops.dtype(layer(x)) == "float32"
    assert set(nn.Linear(F, H, bias=False).state_dict()) == {"weight"}


def test_first_weights_are_the_generators_and_bounded():
    weights = [nn.Linear(F, H, generator=ops.generator(s)).weight.data for s in (3, 3, 5)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    assert np.abs(weights[0]).max() <= (6 / (F + H)) ** 0.5


def test_lecun_tanh_is_one_at_one():
    assert float(nn.lecun_tanh(ops.asarray(1.0))) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("make", [lambda: nn.Linear(0, 3), lambda: nn.Sequential([])])
def test_empty_layers_are_refused(make):
    with pytest.raises(ValueError, match="Expected"):
        make()


def test_unknown_activation_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"lecun_tanh.*Received: activation='wavy'"):
        nn.Activation("wavy")
