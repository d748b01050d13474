"""Layers over sequences: time, masks, state, and one sequence beside another."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops

B, T, F, H = 2, 7, 5, 11
LAYERS = {
    "cfc": lambda **kw: nn.CfC(F, H, backbone_units=13, **kw),
    "cfc_wired": lambda **kw: nn.CfC(F, nn.AutoNCP(H, 3), "pure", **kw),
    "cfc_mixed": lambda **kw: nn.CfC(F, nn.AutoNCP(H, 3), mixed_memory=True, **kw),
    "ltc": lambda **kw: nn.LTC(F, nn.AutoNCP(H, 3), **kw),
    "ltc_mixed": lambda **kw: nn.LTC(F, H, mixed_memory=True, **kw),
    "lstm": lambda **kw: nn.LSTM(F, H, **kw),
    "stride_aware": lambda **kw: nn.StrideAwareCfC(F, H, 3, **kw),
    "stride_aware_wired": lambda **kw: nn.StrideAwareCfC(F, nn.AutoNCP(H, 3), 3, **kw),
    "stride_aware_mixed": lambda **kw: nn.StrideAwareCfC(F, H, 3, mixed_memory=True, **kw),
    "any_cell": lambda **kw: nn.Recurrent(
        nn.MultiStrideCell(F, [nn.StrideAwareCfCCell(3, H, s) for s in (1, 2)], (1, 2)), **kw
    ),
}
EACH = pytest.mark.parametrize("name", LAYERS)


@pytest.fixture(autouse=True)
def on_every_backend(backend):
    """Each test runs on NumPy, PyTorch and MLX."""


def sequences(rows=B, steps=T, seed=1):
    """Inputs `(rows, steps, F)` and irregular times `(rows, steps)`."""
    g = ops.generator(seed)
    x, u = ops.random.normal(g, (rows, steps, F)), ops.random.uniform(g, (rows, steps))
    return x, -ops.log(1.0 - 0.9 * u)


def close(actual, expected):
    np.testing.assert_allclose(ops.to_numpy(actual), ops.to_numpy(expected), rtol=2e-5, atol=2e-6)


@EACH
def test_output_and_state_have_their_shapes(name):
    layer = LAYERS[name]()
    x, dt = sequences()
    output, state = layer(x, elapsed=dt)
    assert ops.shape(output) == (B, T, layer.output_size)
    assert ops.shape(state) == (B, layer.cell.state_size)
    mapped = LAYERS[name](proj_size=3, return_sequences=False)
    assert ops.shape(mapped(x, elapsed=dt)[0]) == (B, mapped.output_size) == (B, 3)


@EACH
def test_layer_is_the_cell_step_by_step(name):
    layer = LAYERS[name]()
    x, dt = sequences()
    output, last = layer(x, elapsed=dt)
    state = layer.cell.initial_state(x)
    for t in range(T):
        out, state = layer.cell(x[:, t], state, dt[:, t : t + 1])
        close(output[:, t], out)
    close(last, state)


@EACH
def test_each_sequence_of_a_batch_has_its_own_times(name):
    """ncps takes the times of a batch along the wrong axis, without a word where B = H."""
    layer = LAYERS[name]()
    x, dt = sequences(rows=layer.output_size)
    together, _ = layer(x, elapsed=dt)
    for i in range(len(x)):
        close(together[i : i + 1], layer(x[i : i + 1], elapsed=dt[i : i + 1])[0])


@EACH
def test_a_sequence_in_two_parts_is_the_sequence(name):
    layer = LAYERS[name]()
    x, dt = sequences()
    whole, last = layer(x, elapsed=dt)
    first, state = layer(x[:, :4], elapsed=dt[:, :4])
    second, state = layer(x[:, 4:], state, dt[:, 4:])
    close(ops.concatenate([first, second], axis=1), whole)
    close(state, last)


@EACH
def test_one_number_is_the_time_of_every_step(name):
    layer = LAYERS[name]()
    x, dt = sequences()
    close(layer(x, elapsed=0.5)[0], layer(x, elapsed=0.0 * dt + 0.5)[0])
    close(layer(x)[0], layer(x, elapsed=1.0)[0])


@EACH
def test_padding_at_either_end_changes_nothing(name):
    layer = LAYERS[name](return_sequences=False)
    x, dt = (ops.to_numpy(v) for v in sequences())
    alone = [
        layer(ops.from_numpy(x[i : i + 1, :n]), elapsed=ops.from_numpy(dt[i : i + 1, :n]))
        for i, n in enumerate((T, 4))
    ]
    for side in ("right", "left"):
        padded, times = np.full((B, T, F), np.nan, "float32"), np.full((B, T), np.nan, "float32")
        mask = np.zeros((B, T), bool)
        for i, n in enumerate((T, 4)):
            where = slice(0, n) if side == "right" else slice(T - n, T)
            padded[i, where], times[i, where], mask[i, where] = x[i, :n], dt[i, :n], True
        output, state = layer(
            *(ops.from_numpy(padded), None, ops.from_numpy(times)), mask=ops.from_numpy(mask)
        )
        for i in range(B):
            close(output[i : i + 1], alone[i][0])
            close(state[i : i + 1], alone[i][1])


@EACH
def test_a_hole_is_a_longer_time(name):
    layer = LAYERS[name]()
    x, dt = (ops.to_numpy(v) for v in sequences())
    mask = np.ones((B, T), "float32")
    mask[:, 3:5] = 0.0
    without = np.delete(dt, (3, 4), axis=1)
    without[:, 3] += dt[:, 3] + dt[:, 4]
    expected, last = layer(
        ops.from_numpy(np.delete(x, (3, 4), axis=1)), elapsed=ops.from_numpy(without)
    )
    output, state = layer(
        *map(ops.from_numpy, (x,)), elapsed=ops.from_numpy(dt), mask=ops.from_numpy(mask)
    )
    close(state, last)
    close(output[:, :3], expected[:, :3])
    close(output[:, 5:], expected[:, 3:])
    for t in (3, 4):
        close(output[:, t], output[:, 2])  # the output is held


def test_steps_before_the_first_have_no_output():
    layer = LAYERS["cfc"]()
    x, dt = sequences()
    mask = np.ones((B, T), bool)
    mask[1, :2] = False
    output, _ = layer(x, elapsed=dt, mask=ops.from_numpy(mask))
    assert not ops.to_numpy(output)[1, :2].any()
    nothing, state = layer(x, mask=ops.from_numpy(0 * mask))
    assert not ops.to_numpy(nothing).any()
    assert not ops.to_numpy(state).any()


@EACH
def test_file_brings_back_the_layer(name, tmp_path):
    layer = LAYERS[name](proj_size=3)
    layer.save(tmp_path / "layer.safetensors")
    again = type(layer).load(tmp_path / "layer.safetensors")
    assert again.get_config() == layer.get_config()
    x, dt = sequences()
    assert np.array_equal(
        ops.to_numpy(again(x, elapsed=dt)[0]), ops.to_numpy(layer(x, elapsed=dt)[0])
    )


def test_mixed_memory_of_a_stride_is_the_mean_of_two_views():
    mixed, plain = LAYERS["stride_aware_mixed"](), LAYERS["stride_aware"]()
    x, _ = sequences()
    near = ops.to_numpy(plain(x)[0])
    irregular = np.asarray([[1.0, 3.0, 3.0]] * B, "float32")  # the first step has waited one row
    far = ops.to_numpy(plain(x[:, ::3], elapsed=ops.from_numpy(irregular))[0])
    expected = 0.5 * (near + np.repeat(far, 3, axis=1)[:, :T])
    np.testing.assert_allclose(ops.to_numpy(mixed(x)[0]), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": (B, F)}, r"Expected shape \(B, T, 5\).*x\.shape=\(2, 5\)"),
        ({"x": (B, T, F + 1)}, r"x\.shape=\(2, 7, 6\)"),
        ({"x": (B, 0, F)}, r"with T >= 1"),
        ({"elapsed": (T,)}, r"a number or shape \(2, 7\).*elapsed\.shape=\(7,\)"),
        ({"elapsed": (B, T, 1)}, r"elapsed\.shape=\(2, 7, 1\)"),
        ({"mask": (B, T - 1)}, r"Expected shape \(2, 7\).*mask\.shape=\(2, 6\)"),
        ({"mask": ()}, r"mask\.shape=\(\)"),
        ({"state": (B, H + 1)}, r"Expected shape \(2, 11\).*state\.shape=\(2, 12\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, message):
    arguments = {"x": ops.ones((B, T, F))} | {k: ops.ones(v) for k, v in change.items()}
    with pytest.raises(ValueError, match=message):
        LAYERS["cfc"]()(**arguments)
