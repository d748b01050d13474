"""Motor neurons: thresholds, triggers, and cells of every kind below them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from ember_core import nn, ops

B, T, F, H = 2, 7, 5, 13
KINDS = get_args(nn.CellKind)
THRESHOLDS = {
    "fixed": lambda: nn.FixedThreshold(0.4),
    "learned": lambda: nn.LearnedThreshold(F, 0.4, generator=ops.generator(5)),
    "adaptive": lambda: nn.AdaptiveThreshold(0.4, 0.1, 3),
}


@pytest.fixture(autouse=True)
def on_every_backend(backend):
    """Each test runs on NumPy, PyTorch and MLX."""


def follow(adaptive, outputs):
    """Threshold before each of one row's outputs."""
    state, found = ops.zeros((1, adaptive.state_size)), []
    for output in outputs:
        threshold, state = adaptive(None, ops.full((1, 1), float(output)), state)
        found.append(float(threshold[0, 0]))
    return found


def test_adaptive_threshold_is_mean_and_deviation_of_the_last_outputs_before_the_row():
    outputs = np.random.default_rng(1).uniform(size=17)
    found = follow(nn.AdaptiveThreshold(0.4, 0.1, 5), outputs)
    threshold = 0.4
    for t, value in enumerate(found):
        assert value == pytest.approx(threshold, rel=1e-5)
        last = outputs[max(0, t - 4) : t + 1]
        threshold += 0.1 * (last.mean() + last.std() - threshold)


def test_a_constant_output_is_approached_and_a_rate_of_zero_stands_still():
    assert follow(nn.AdaptiveThreshold(0.2, 0.5, 3), [0.8] * 29)[-1] == pytest.approx(0.8, rel=1e-4)
    assert follow(nn.AdaptiveThreshold(0.2, 0.0, 3), [0.8] * 7) == pytest.approx([0.2] * 7)


def test_learned_threshold_begins_where_it_is_told():
    threshold, _ = nn.LearnedThreshold(F, 0.3)(ops.zeros((B, F)), None, None)
    np.testing.assert_allclose(ops.to_numpy(threshold), np.full((B, 1), 0.3), rtol=1e-6)


@pytest.mark.parametrize("name", THRESHOLDS)
def test_trigger_says_where_the_output_exceeds_the_threshold(name):
    head = nn.MotorHead(F, THRESHOLDS[name]())
    x = ops.random.normal(ops.generator(1), (101, F))
    motor, state = head(x, ops.zeros((101, head.state_size)))
    values = [ops.to_numpy(v) for v in motor]
    logit, output, threshold, trigger = values
    assert {v.shape for v in values} == {(101, 1)}
    assert ops.shape(state) == (101, head.state_size)
    np.testing.assert_allclose(output, 1.0 / (1.0 + np.exp(-logit)), rtol=1e-5)
    assert np.array_equal(trigger, (output > threshold).astype("float32"))
    assert 0 < trigger.sum() < 101


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_cell_carries_a_motor_neuron_over_sequences(kind):
    cell = nn.MotorCell(nn.liquid_cell(kind, F, H), 3, nn.AdaptiveThreshold(history_length=11))
    layer = nn.Recurrent(cell)
    g = ops.generator(1)
    x, dt = ops.random.normal(g, (B, T, F)), 0.1 + ops.random.uniform(g, (B, T))
    output, state = layer(x, elapsed=dt)
    readout, motor = cell.split(output)
    assert ops.shape(readout) == (B, T, 3)
    assert {ops.shape(value) for value in motor} == {(B, T)}
    assert ops.shape(state) == (B, cell.state_size)
    assert np.ptp(ops.to_numpy(motor.output), axis=1).min() > 0.0  # no motor neuron is dead
    part, state = layer(x[:, :4], elapsed=dt[:, :4])
    rest, _ = layer(x[:, 4:], state, dt[:, 4:])
    np.testing.assert_allclose(
        ops.to_numpy(ops.concatenate([part, rest], axis=1)),
        ops.to_numpy(output),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_file_brings_back_cell_threshold_and_motor_neuron(kind, tmp_path):
    cell = nn.MotorCell(nn.liquid_cell(kind, F, H, seed=3), 3, nn.AdaptiveThreshold(0.3, 0.2, 7))
    cell.save(tmp_path / "cell.safetensors")
    again = nn.MotorCell.load(tmp_path / "cell.safetensors")
    assert again.get_config() == cell.get_config()
    x = ops.ones((B, F))
    inputs = (x, cell.initial_state(x), ops.ones((B, 1)))
    assert np.array_equal(ops.to_numpy(again(*inputs)[0]), ops.to_numpy(cell(*inputs)[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_make_other_cells(kind):
    cells = [nn.liquid_cell(kind, F, H, seed=seed) for seed in (1, 1, 2)]
    outs = [ops.to_numpy(nn.Recurrent(cell)(ops.ones((B, T, F)))[0]) for cell in cells]
    assert np.array_equal(outs[0], outs[1])
    assert not np.array_equal(outs[0], outs[2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.FixedThreshold(1.0), "threshold=1.0"),
        (lambda: nn.LearnedThreshold(F, 0.0), "threshold=0.0"),
        (lambda: nn.AdaptiveThreshold(adaptation_rate=1.5), "adaptation_rate=1.5"),
        (lambda: nn.AdaptiveThreshold(history_length=0), "history_length=0"),
        (lambda: nn.liquid_cell("gru", F), "Expected one of: ncp, cfc.*Received: 'gru'"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
