"""Gradients: right on every backend, of trees, and refused where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.distribution import NAME

B, F, H = 2, 5, 11


def central_differences(function, x, step=1e-6):
    """Gradient of a function of one float64 NumPy array, element by element."""
    grad = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(float(function(ops.from_numpy(moved))))
        grad[place] = (ends[0] - ends[1]) / (2 * step)
    return grad


OF_ROWS = {
    "tanh": lambda x: ops.sum(ops.tanh(x) * 2.0),
    "sigmoid": lambda x: ops.sum(ops.square(ops.sigmoid(3 * x))),
    "softplus": lambda x: ops.sum(ops.softplus(x)),
    "exp": lambda x: ops.mean(ops.exp(x) + ops.expm1(x)),
    "log": lambda x: ops.sum(ops.log(ops.square(x) + 1.0) + ops.log1p(ops.abs(x))),
    "trigonometry": lambda x: ops.sum(ops.sin(x) * ops.cos(x)),
    "clip and where": lambda x: ops.sum(ops.clip(x, -0.7, 0.7) * ops.where(x > 0, x, 2.0)),
    "softmax": lambda x: ops.sum(ops.softmax(x) * ops.log_softmax(x, 0)),
    "statistics": lambda x: ops.sum(ops.std(x, 1)) + ops.max(x),
    "products": lambda x: ops.sum(
        ops.matmul(x, ops.transpose(x)) * ops.matmul(x, ops.transpose(ops.sin(x)))
    ),
    "solve": lambda x: ops.sum(
        ops.linalg.solve(
            ops.matmul(x, ops.transpose(x)) + 3 * ops.eye(B, "float64", like=x), x[:, :3]
        )
    ),
    "shape": lambda x: ops.sum(
        ops.concatenate([x, ops.square(x)], 1)
        * ops.reshape(ops.stack([x, 2 * x, x * x, x], 1)[:, :2], (B, 2 * F))
        * ops.tile(ops.expand_dims(x[:, 1], 1), (1, 2 * F))
    ),
    "selection": lambda x: ops.sum(
        ops.take(x, ops.asarray([3, 0, 3]), 1) * ops.repeat(x, 3, 1)[:, :3] * x[:, :3]
    ),
    "cross entropy": lambda x: ops.losses.cross_entropy(x, ops.asarray([1, 4])),
    "squared error": lambda x: ops.losses.mean_squared_error(x, 0.3 * x * x),
    "gelu and elu": lambda x: ops.sum(ops.gelu(x) + ops.elu(x) + ops.silu(x) + ops.leaky_relu(x)),
}


@pytest.mark.parametrize("name", OF_ROWS)
def test_gradient_is_the_limit_of_differences(gradients, name):
    x = np.random.default_rng(3).standard_normal((B, F))
    value, grad = ops.value_and_grad(OF_ROWS[name])(ops.from_numpy(x))
    assert ops.backend_name(grad) == gradients
    assert ops.dtype(grad) == "float64"
    assert float(value) == pytest.approx(float(OF_ROWS[name](ops.from_numpy(x))), rel=1e-12)
    expected = central_differences(OF_ROWS[name], x)
    np.testing.assert_allclose(ops.to_numpy(grad), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_and_softplus_have_their_slope_at_zero_and_far_out(gradients, dtype):
    x = ops.asarray([0.0, -900.0, 900.0], dtype)
    _, grad = ops.value_and_grad(lambda x: ops.sum(ops.softplus(x)))(x)
    assert ops.to_numpy(grad).tolist() == pytest.approx([0.5, 0.0, 1.0])
    _, grad = ops.value_and_grad(lambda x: ops.sum(ops.sigmoid(x)))(x)
    assert ops.to_numpy(grad).tolist() == pytest.approx([0.25, 0.0, 0.0])


def test_tree_keeps_its_form_and_what_is_not_used_gets_zeros(gradients):
    tree = {
        "layers": [ops.ones((F, H)), (ops.ones((H,)),)],
        "unused": ops.ones((3,)),
        "none": None,
    }

    def loss(tree, x, power=1.0):
        return ops.sum(ops.matmul(x, tree["layers"][0]) + tree["layers"][1][0]) ** power

    value, grads = ops.value_and_grad(loss)(tree, ops.full((B, F), 2.0), power=1.0)
    assert float(value) == B * H * (2 * F + 1)
    assert grads.keys() == tree.keys()
    assert ops.to_numpy(grads["layers"][0]).tolist() == [[4.0] * H] * F
    assert ops.to_numpy(grads["layers"][1][0]).tolist() == [2.0] * H
    assert ops.to_numpy(grads["unused"]).tolist() == [0.0] * 3
    assert ops.dtype(grads["layers"][0]) == "float32"
    assert grads["none"] is None


def test_what_follows_the_scalar_is_handed_through_without_a_graph(gradients):
    def loss(x):
        return ops.sum(x * x), {"seen": x * 2.0}, "word"

    (value, seen, word), grad = ops.value_and_grad(loss)(ops.asarray([2.0, 5.0]))
    assert (float(value), word) == (29.0, "word")
    assert ops.to_numpy(seen["seen"]).tolist() == [4.0, 10.0]
    assert ops.to_numpy(grad).tolist() == [4.0, 10.0]
    assert type(seen["seen"]) is type(ops.zeros(2))
    assert not getattr(seen["seen"], "requires_grad", False)


def test_no_gradient_goes_through_a_stop(gradients):
    _, grad = ops.value_and_grad(lambda x: ops.sum(x * ops.stop_gradient(x)))(ops.asarray([3.0]))
    assert ops.to_numpy(grad).tolist() == [3.0]


def test_a_constant_has_gradient_zero(gradients):
    value, grad = ops.value_and_grad(lambda x: 7.0)(ops.ones((2,)))
    assert (float(value), ops.to_numpy(grad).tolist()) == (7.0, [0.0, 0.0])


def test_what_has_no_gradient_is_refused(gradients):
    grad = ops.value_and_grad(lambda tree: tree)
    with pytest.raises(ValueError, match=r"Expected a scalar\. Received: shape=\(3,\)"):
        grad(ops.ones((3,)))
    with pytest.raises(ValueError, match="Expected arrays"):
        grad({"empty": []})
    with pytest.raises(ValueError, match="Received: int64"):
        grad(ops.arange(3))


def test_numpy_without_autograd_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "autograd", None)
    monkeypatch.delitem(
        __import__("sys").modules, "ember_core.ops.backends.autograd", raising=False
    )
    with pytest.raises(ImportError, match=rf'pip install "{NAME}\[autograd\]"'):
        ops.value_and_grad(lambda x: ops.sum(x))(np.ones(3))
