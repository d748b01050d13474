"""Optimisers and schedules."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import ops
from ember_core.training import (
    SGD,
    Adam,
    AdamW,
    RMSprop,
    clip_by_norm,
    clip_by_value,
    constant,
    cosine,
    exponential,
    global_norm,
    stepwise,
    warmup,
)
from tests.conftest import lacking


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.1),
        SGD(0.05, momentum=0.8),
        SGD(0.05, momentum=0.8, nesterov=True),
        SGD(0.05, momentum=lambda step: min(0.8, 0.01 * step)),
        Adam(0.1),
        AdamW(0.1, weight_decay=1e-5),
        RMSprop(0.05),
        RMSprop(cosine(0.05, 300, 1e-4), momentum=0.5),
        SGD(cosine(0.2, 200, 0.01)),
    ],
)
def test_a_bowl_is_descended(optimizer):
    goal = np.array([[3.0, -5.0]])
    parameters = {"w": np.zeros((1, 2)), "b": np.ones(3)}
    state = optimizer.init(parameters)
    for _ in range(300):
        gradients = {"w": parameters["w"] - goal, "b": parameters["b"]}
        parameters, state = optimizer.update(parameters, gradients, state)
    np.testing.assert_allclose(parameters["w"], goal, atol=1e-2)
    np.testing.assert_allclose(parameters["b"], 0.0, atol=1e-2)
    assert state["step"] == 300


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.5, 0.01), Adam(), AdamW(), RMSprop()])
def test_a_step_leaves_its_arguments_and_float32_as_they_are(optimizer):
    parameters = {"w": ops.ones((2, 3)), "b": ops.ones((3,))}
    gradients = {"w": ops.ones((2, 3)), "b": ops.ones((3,))}
    moved, _ = optimizer.update(parameters, gradients, optimizer.init(parameters))
    assert (parameters["w"] == 1.0).all()
    assert (gradients["w"] == 1.0).all()
    assert {ops.dtype(p) for p in moved.values()} == {"float32"}


@pytest.mark.parametrize("optimizer", [SGD(0.1, weight_decay=0.5), AdamW(0.1, weight_decay=0.5)])
def test_decay_pulls_matrices_and_not_biases(optimizer):
    parameters = {"w": ops.ones((2, 3)), "b": ops.ones((3,))}
    nothing = {name: ops.zeros_like(p) for name, p in parameters.items()}
    moved, _ = optimizer.update(parameters, nothing, optimizer.init(parameters))
    np.testing.assert_allclose(moved["w"], 0.95, rtol=1e-6)
    assert (moved["b"] == 1.0).all()


@pytest.mark.parametrize(
    ("name", "options", "ours"),
    [
        ("SGD", {"lr": 0.1, "momentum": 0.7}, SGD(0.1, 0.7)),
        ("SGD", {"lr": 0.1, "momentum": 0.7, "nesterov": True}, SGD(0.1, 0.7, nesterov=True)),
        ("Adam", {"lr": 0.02, "weight_decay": 0.1}, Adam(0.02, weight_decay=0.1)),
        ("AdamW", {"lr": 0.02, "weight_decay": 0.1}, AdamW(0.02, weight_decay=0.1)),
        ("RMSprop", {"lr": 0.02}, RMSprop(0.02)),
        (
            "RMSprop",
            {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.1},
            RMSprop(0.02, momentum=0.5, weight_decay=0.1),
        ),
    ],
)
def test_steps_are_those_of_pytorch(name, options, ours):
    """Of 20 random gradients of a matrix, in float64."""
    try:
        import torch
    except ImportError:
        lacking("torch", "torch is not installed")
    rng = np.random.default_rng(3)
    start = rng.standard_normal((5, 3))
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = getattr(torch.optim, name)([theirs], **options)
    parameters = {"w": start}
    state = ours.init(parameters)
    for _ in range(20):
        gradient = rng.standard_normal((5, 3))
        theirs.grad = torch.from_numpy(gradient)
        optimizer.step()
        parameters, state = ours.update(parameters, {"w": gradient}, state)
    np.testing.assert_allclose(parameters["w"], theirs.detach().numpy(), rtol=1e-9)


def test_first_step_of_adam_is_the_learning_rate():
    optimizer = Adam(0.1)
    parameters = {"b": np.zeros(2)}
    moved, _ = optimizer.update(
        parameters, {"b": np.array([7.0, -0.01])}, optimizer.init(parameters)
    )
    np.testing.assert_allclose(moved["b"], [-0.1, 0.1], rtol=1e-5)


def test_long_gradients_are_shortened_together_and_short_ones_left():
    gradients = {"w": np.array([[3.0]]), "b": np.array([4.0])}
    short = clip_by_norm(gradients, 1.0)
    assert (short["w"].item(), short["b"].item()) == pytest.approx((0.6, 0.8))
    assert clip_by_norm(gradients, 5.0)["w"] is gradients["w"]
    assert clip_by_norm({"b": np.zeros(2)}, 1.0)["b"].tolist() == [0.0, 0.0]


def test_a_norm_is_found_where_squares_overflow_and_is_not_where_numbers_are_none():
    assert global_norm({"w": np.full((2, 2), 1e30, "float32")}) == pytest.approx(2e30)
    assert np.isinf(global_norm({"w": np.array([[np.inf]], "float32")}))
    assert np.isnan(global_norm({"w": np.array([[np.nan]], "float32")}))


def test_gradients_are_held_element_by_element():
    held = clip_by_value({"w": np.array([[3.0, -5.0, 0.5]])}, 1.0)
    assert held["w"].tolist() == [[1.0, -1.0, 0.5]]


def test_schedules_go_where_they_say():
    assert [constant(0.3)(step) for step in (0, 99)] == [0.3, 0.3]
    assert [exponential(1.0, 10, 0.5)(step) for step in (0, 10, 20)] == [1.0, 0.5, 0.25]
    assert [stepwise(1.0, [7, 2], 0.5)(step) for step in (1, 2, 7)] == [1.0, 0.5, 0.25]
    ramp = warmup(cosine(1.0, 1000), 4)
    assert [round(ramp(step), 3) for step in (0, 1, 3, 500)] == [0.25, 0.5, 1.0, 0.5]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="learning_rate="):
        constant(rate)
    with pytest.raises(ValueError, match="steps=0"):
        warmup(0.1, 0)
