"""Recurrent cells: shapes, elapsed time, configurations and wirings."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops
from ember_core.nn import AutoNCP, CfCCell, FullyConnected, LTCCell, Random, WiredCfCCell

B, F, H = 2, 5, 11


MAKERS = {
    "cfc": lambda **kw: CfCCell(F, H, backbone_units=7, **kw),
    "cfc_pure": lambda **kw: CfCCell(F, H, "pure", backbone_layers=0, **kw),
    "wired": lambda **kw: WiredCfCCell(F, AutoNCP(H, 3), "no_gate", **kw),
    "wired_random": lambda **kw: WiredCfCCell(F, Random(H, 3, 0.5), **kw),
    "wired_full": lambda **kw: WiredCfCCell(F, FullyConnected(H), **kw),
    "ltc": lambda **kw: LTCCell(F, AutoNCP(H, 3), implicit_constraints=True, **kw),
    "lstm": lambda **kw: nn.LSTMCell(F, H, **kw),
    "mixed_cfc": lambda **kw: nn.MixedMemoryCell(CfCCell(F, H, backbone_units=7, **kw), **kw),
    "mixed_ltc": lambda **kw: nn.MixedMemoryCell(
        LTCCell(F, AutoNCP(H, 3), implicit_constraints=True, **kw), **kw
    ),
    "stride_aware": lambda **kw: nn.StrideAwareCfCCell(F, H, 3, 0.7, **kw),
    "stride_aware_wired": lambda **kw: nn.StrideAwareWiredCfCCell(F, AutoNCP(H, 3), 3, **kw),
    "time_gate": lambda **kw: nn.TimeGateCfCCell(F, H, "default", 3, backbone_units=7, **kw),
    "time_gate_pure": lambda **kw: nn.TimeGateCfCCell(F, H, "pure", backbone_units=7, **kw),
    "time_gate_plain": lambda **kw: nn.TimeGateCfCCell(F, H, "no_gate", backbone_units=7, **kw),
    "strided": lambda **kw: nn.StridedCell(CfCCell(F, H, backbone_units=7, **kw), 3),
    "stride_memory": lambda **kw: nn.StrideMemoryCell(nn.StrideAwareCfCCell(F, H, 3, **kw), 3),
    "multi_stride": lambda **kw: nn.MultiStrideCell(
        F, [nn.StrideAwareCfCCell(7, H, s, **kw) for s in (1, 2)], (1, 2), **kw
    ),
    "lstm_gated": lambda **kw: nn.LSTMGatedCell(
        F, CfCCell(7, H, backbone_units=13, **kw), nn.LSTMCell(F, 3, **kw), **kw
    ),
}
OUTPUTS = {"wired": 3, "wired_random": 3, "ltc": 3, "mixed_ltc": 3, "stride_aware_wired": 3}
OUTPUTS |= {"multi_stride": 22, "lstm_gated": 14}
CELLS = pytest.mark.parametrize("name", MAKERS)


@pytest.fixture(autouse=True)
def on_every_backend(backend):
    """Each test runs on NumPy, PyTorch and MLX."""


def step_inputs(cell, seed=1):
    """Input, a state that the cell has come to by itself, and times."""
    g = ops.generator(seed)
    x, dt = ops.random.normal(g, (B, F)), 0.1 + ops.random.uniform(g, (B, 1))
    state = cell.initial_state(x)
    for _ in range(6):  # strides 1, 2 and 3 are all due at the next row
        _, state = cell(ops.random.normal(g, (B, F)), state, 0.1 + ops.random.uniform(g, (B, 1)))
    return x, state, dt


@CELLS
def test_a_step_gives_output_and_state_in_float32(name):
    cell = MAKERS[name]()
    out, state = cell(*step_inputs(cell))
    assert ops.shape(state) == (B, cell.state_size)
    assert ops.shape(out) == (B, cell.output_size) == (B, OUTPUTS.get(name, H))
    assert {ops.dtype(out), ops.dtype(state)} == {"float32"}
    assert np.isfinite(ops.to_numpy(state)).all()
    assert np.abs(ops.to_numpy(out)).min() > 0.0  # no output is left at zero


@CELLS
def test_rows_do_not_see_each_other(name):
    cell = MAKERS[name]()
    x, h, dt = step_inputs(cell)
    _, state = cell(x, h, dt)
    _, alone = cell(x[1:], h[1:], dt[1:])
    np.testing.assert_allclose(ops.to_numpy(alone), ops.to_numpy(state)[1:], rtol=1e-5, atol=1e-6)


@CELLS
def test_arrays_of_another_shape_are_refused(name):
    cell = MAKERS[name]()
    x, h, dt = step_inputs(cell)
    for shape in ((B,), (1, 1), (B, H), ()):
        with pytest.raises(ValueError, match=r"Expected shape \(2, 1\)"):
            cell(x, h, ops.ones(shape))
    with pytest.raises(ValueError, match=r"Expected shape \(B, 5\).*\(2, 4\)"):
        cell(x[:, :4], h, dt)
    with pytest.raises(ValueError, match=rf"Expected shape \(2, {cell.state_size}\)"):
        cell(x, h[:, :-1], dt)


@CELLS
def test_longer_times_give_other_states_but_for_the_lstm(name):
    cell = MAKERS[name]()
    x, h, dt = step_inputs(cell)
    once, later = (ops.to_numpy(cell(x, h, time)[0]) for time in (dt, 5 * dt))
    assert np.allclose(once, later) == (name == "lstm")


@CELLS
def test_no_time_and_much_time_give_finite_states(name):
    cell = MAKERS[name]()
    x, h, dt = step_inputs(cell)
    for time in (0.0, 1e6):
        assert np.isfinite(ops.to_numpy(cell(x, h, 0.0 * dt + time)[1])).all()


@pytest.mark.parametrize("name", ["ltc", "time_gate_plain"])
def test_no_time_leaves_the_neurons_as_they_are(name):
    cell = MAKERS[name]()
    x, h, dt = step_inputs(cell)
    moved = cell(x, h, 0.0 * dt)[1]
    np.testing.assert_allclose(ops.to_numpy(moved), ops.to_numpy(h), rtol=1e-5, atol=1e-6)


@CELLS
def test_file_brings_back_the_cell(name, tmp_path):
    cell = MAKERS[name](generator=ops.generator(3))
    cell.save(tmp_path / "cell.safetensors")
    again = type(cell).load(tmp_path / "cell.safetensors")
    assert again.get_config() == cell.get_config()
    inputs = step_inputs(cell)
    assert np.array_equal(ops.to_numpy(again(*inputs)[1]), ops.to_numpy(cell(*inputs)[1]))


@CELLS
def test_gradients_are_the_limits_of_differences(gradients, name):
    """Of every weight, through three steps with times of their own."""
    cell = MAKERS[name]().astype("float64")
    g = ops.generator(1)
    x = ops.astype(ops.random.normal(g, (3, B, F)), "float64")
    dt = 0.1 + ops.astype(ops.random.uniform(g, (3, B, 1)), "float64")
    held = dict(cell.named_parameters())

    def loss(arrays):
        for key, parameter in held.items():
            parameter.data = arrays[key]
        state, total = cell.initial_state(x[0]), 0.0
        for t in range(3):
            out, state = cell(x[t], state, dt[t])
            total = total + ops.mean(ops.square(out - 0.3))
        return total

    arrays = {key: parameter.data for key, parameter in held.items()}
    _, grads = ops.value_and_grad(loss)(arrays)
    rng = np.random.default_rng(2)
    for key, value in arrays.items():
        direction = rng.standard_normal(ops.shape(value))
        step = 1e-6 * ops.from_numpy(direction)
        ends = [float(loss(arrays | {key: value + sign * step})) for sign in (1.0, -1.0)]
        measured = (ends[0] - ends[1]) / 2e-6
        expected = float((ops.to_numpy(grads[key]) * direction).sum())
        assert measured == pytest.approx(expected, rel=2e-5, abs=2e-8), key


@CELLS
def test_no_weight_is_counted_twice(name):
    cell = MAKERS[name]()
    assert len({id(p) for p in cell.parameters()}) == len(cell.parameters())


@pytest.mark.parametrize("name", ["wired", "ltc", "stride_aware_wired"])
def test_masks_are_buffers(name):
    cell = MAKERS[name]()
    assert not [n for n, _ in cell.named_parameters() if "mask" in n]
    assert [n for n, _ in cell.named_buffers() if "mask" in n]


def test_an_absent_synapse_carries_nothing():
    cell = MAKERS["wired"]()
    motor = cell.wiring.layers["motor"]
    command = cell.wiring.layers["command"]
    head = cell.layers[-1]
    absent = np.argwhere(cell.wiring.adjacency_matrix[np.ix_(command, motor)] == 0)
    assert len(absent)
    source, target = absent[0]
    weight = ops.to_numpy(head.weight.data).copy()
    weight[:, 2 * head.hidden_size :] = 0.0  # the gate of time sees every input
    head.assign({"weight": ops.from_numpy(weight)})
    x = np.zeros((1, len(command) + len(motor)), "float32")
    moved = x.copy()
    moved[0, source] = 1.0
    ends = [head(ops.from_numpy(v), ops.ones((1, 1))) for v in (x, moved)]
    assert float(ends[0][0, target]) == float(ends[1][0, target])


def test_an_input_of_a_stride_aware_wiring_moves_its_inter_neurons_alone():
    cell = MAKERS["stride_aware_wired"]()
    x, state, dt = step_inputs(cell)
    other = ops.to_numpy(x).copy()
    other[:, 2] += 1.0
    inter = cell.wiring.layers["inter"]
    states = [ops.to_numpy(cell(v, state, dt)[1]) for v in (x, ops.from_numpy(other))]
    moved = (states[0] != states[1])[:, : len(inter)].any(axis=0)
    assert 0 < moved.sum() < len(inter)
    assert np.array_equal(moved, cell.wiring.sensory()[2, inter] != 0)


def test_every_input_reaches_every_motor_neuron_of_a_wiring():
    """The older pipeline's motor neurons were zero, and neurons could be left without synapses."""
    for name in ("wired", "ltc", "stride_aware_wired"):
        cell = MAKERS[name]()
        g = ops.generator(1)
        x, dt = ops.random.normal(g, (1, 7, F)), ops.ones((1, 1))
        for i in range(F):
            changed = ops.to_numpy(x).copy()
            changed[0, :, i] += 1.0
            ends = []
            for sequence in (x, ops.from_numpy(changed)):
                state = cell.initial_state(sequence)
                for t in range(7):
                    out, state = cell(sequence[:, t], state, dt)
                ends.append(ops.to_numpy(out))
            assert (ends[0] != ends[1]).all(), (name, i)


def test_lstm_follows_its_formula():
    cell = nn.LSTMCell(F, H, forget_bias=0.5)
    x, state, dt = step_inputs(cell)
    h, c = np.split(ops.to_numpy(state).astype("float64"), 2, axis=1)
    y = np.concatenate([ops.to_numpy(x), h], axis=1) @ ops.to_numpy(cell.weight.data)
    i, g, f, o = np.split(y, 4, axis=1)
    sigmoid = lambda v: 1.0 / (1.0 + np.exp(-v))  # noqa: E731
    c = sigmoid(f + 0.5) * c + sigmoid(g) * np.tanh(i)
    out, after = cell(x, state, dt)
    np.testing.assert_allclose(ops.to_numpy(out), sigmoid(o) * np.tanh(c), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ops.to_numpy(after)[:, H:], c, rtol=1e-5, atol=1e-6)


def test_a_strided_cell_steps_every_third_row_with_the_time_since_its_last_step():
    inner = CfCCell(F, H, backbone_units=7)
    cell = nn.StridedCell(inner, 3)
    g = ops.generator(1)
    rows = [ops.random.normal(g, (B, F)) for _ in range(7)]
    times = [0.1 + ops.random.uniform(g, (B, 1)) for _ in range(7)]
    state, own = cell.initial_state(rows[0]), inner.initial_state(rows[0])
    for t in range(7):
        out, state = cell(rows[t], state, times[t])
        if t % 3 == 0:
            since = times[0] if t == 0 else times[t - 2] + times[t - 1] + times[t]
            expected, own = inner(rows[t], own, since)
        np.testing.assert_allclose(ops.to_numpy(out), ops.to_numpy(expected), rtol=1e-5)


def test_keys_of_a_batch_may_be_at_different_rows_of_their_stride():
    cell = MAKERS["multi_stride"]()
    g = ops.generator(1)
    x, dt = ops.random.normal(g, (1, F)), ops.ones((1, 1))
    ahead = cell(x, cell.initial_state(x), dt)[1]
    both = ops.concatenate([ahead, cell.initial_state(x)])
    rows = ops.concatenate([x, x])
    out = ops.to_numpy(cell(rows, both, ops.ones((2, 1)))[0])
    for i, state in enumerate((ahead, cell.initial_state(x))):
        np.testing.assert_allclose(
            out[i : i + 1], ops.to_numpy(cell(x, state, dt)[0]), rtol=1e-5, atol=1e-6
        )


def test_a_longer_stride_forgets_more_slowly():
    x = ops.zeros((1, F))
    state = ops.ones((1, 2 * H))
    kept = []
    for stride in (1, 3, 5):
        cell = nn.StrideAwareCfCCell(F, H, stride)
        cell.assign({"head.weight": ops.zeros((F + H, 4 * H))})
        kept.append(float(cell(x, state, ops.ones((1, 1)))[0][0, 0]))
    assert kept == sorted(kept)
    assert kept[2] > kept[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CfCCell(F, H, "fast"), "Received: mode='fast'"),
        (lambda: CfCCell(F, 0), "Received: hidden_size=0"),
        (lambda: LTCCell(F, AutoNCP(H, 3), ode_unfolds=0), "Received: ode_unfolds=0"),
        (lambda: nn.LSTMCell(0, H), "Received: input_size=0"),
        (lambda: nn.StrideAwareCfCCell(F, H, 0), "Received: stride_length=0"),
        (lambda: nn.StrideAwareCfCCell(F, H, 1, 20.0), "Received: time_scale_factor=20.0"),
        (lambda: nn.TimeGateCfCCell(F, H, "fast"), "Received: mode='fast'"),
        (lambda: nn.StridedCell(CfCCell(F, H), 0), "Received: stride=0"),
        (lambda: nn.MultiStrideCell(F, [], ()), "Received: 0 cells"),
        (lambda: nn.MultiStrideCell(F, [CfCCell(F, H)], (1, 3)), "Received: 1 cells"),
        (lambda: nn.LSTMGatedCell(F, CfCCell(7, H), nn.LSTMCell(3, 7)), "Received: 3"),
    ],
)
def test_impossible_cells_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_wiring_built_for_other_inputs_is_refused():
    with pytest.raises(ValueError, match=r"Expected 7\. Received: input_dim=5"):
        WiredCfCCell(F, AutoNCP(H, 3).build(7))
