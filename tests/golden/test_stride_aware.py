"""Stride-aware, gated and multi-stride cells against the older pipeline, executed."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core import nn, ops

FLOAT32 = {"rtol": 1e-5, "atol": 2e-6}
FLOAT64 = {"rtol": 1e-9, "atol": 1e-12}
# The older lecun_tanh is 1.7159 tanh(2/3 x), that of ncps and here 1.7159 tanh(0.666 x): what
# goes into it has to be scaled for both to agree.
LECUN = (2.0 / 3.0) / 0.666


class Leaky(nn.Cell):
    """The stand-in cell of the reference: `h' = (1 - leak) h + leak tanh(x W)`; time is nothing."""

    leak: float
    weight: nn.Parameter

    def __init__(self, weight, leak=1.0):
        self.input_size = len(weight)
        self.weight = nn.Parameter(weight)
        self.leak = leak

    @property
    def state_size(self):
        return self.weight.data.shape[1]

    @property
    def output_size(self):
        return self.state_size

    def forward(self, x, state, elapsed):
        moved = ops.tanh(ops.matmul(x, self.weight.data))
        state = (1.0 - self.leak) * state + self.leak * moved
        return state, state


@pytest.mark.parametrize("stride", [1, 3, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stride_aware_cell_is_the_first_version_run_by_tensorflow(
    there, golden_data, stride, dtype
):
    golden = np.load(golden_data / "ember_stride_cfc_cell_TF_original.npz")
    w = {name: golden[f"s{stride}/{name}"] for name in ("kernel", "recurrent_kernel", "bias")}
    cell = nn.StrideAwareCfCCell(4, 6, stride)
    assert np.array_equal(
        ops.to_numpy(cell.head.stride_scale.data), golden[f"s{stride}/stride_scale"]
    )
    there.put(
        cell,
        {
            "head.weight": np.concatenate([w["kernel"], w["recurrent_kernel"]]),
            "head.bias": w["bias"],
            "head.time_scale": golden[f"s{stride}/time_scale"],
        },
    )
    cell.astype(dtype)
    x = golden["x"].astype(dtype)
    state = np.concatenate([golden["h0"], golden["t0"]], axis=1).astype(dtype)
    time = np.ones((3, 1), dtype)
    for t in range(20):
        out, state = there.run(cell, x[:, t], state, time)
        np.testing.assert_allclose(out, golden[f"s{stride}/h"][:, t], **FLOAT32)
        np.testing.assert_allclose(state[:, 6:], golden[f"s{stride}/t"][:, t], **FLOAT32)


def test_hidden_states_over_time_are_the_later_versions_whose_motor_output_was_always_zero(
    there,
    golden_data,
):
    """The same cell with elapsed times. Its motor neurons are the last two; the older code took
    the first two columns of what it had masked down to the last two."""
    golden = np.load(golden_data / "ember_cfc_HEAD_shim.npz")
    # The older code masked in an order of gates that is not the one it split by; to compare the
    # formula, the weights are masked as it did. A wiring here masks each gate by its synapses.
    masked = golden["recurrent_kernel"].reshape(10, 10, 4) * golden["recurrent_mask"][:, :, None]
    cell = nn.StrideAwareCfCCell(4, 10, time_scale_factor=float(golden["time_scale_factor"]))
    weight = np.concatenate([golden["kernel"], masked.reshape(10, 40)])
    there.put(cell.astype("float64"), {"head.weight": weight, "head.bias": golden["bias"]})
    layer = nn.Recurrent(cell)
    out, state = there.run(layer, golden["x"], elapsed=golden["dt"][:, :, 0])
    np.testing.assert_allclose(out, golden["h"], **FLOAT64)
    np.testing.assert_allclose(state[:, 10:], golden["c_final"], **FLOAT64)

    motor = out[:, :, golden["output_mask"] == 1]
    np.testing.assert_allclose(motor, golden["h"][:, :, 8:], **FLOAT64)
    wrong = golden["motor_output_BUG_ALWAYS_ZERO"]
    assert motor.shape == wrong.shape
    assert not wrong.any()
    assert np.abs(motor).min() > 0.0


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("mode", ["default", "pure", "no_gate"])
def test_time_gate_cell_is_the_later_stride_aware_version(there, golden_data, mode, stride):
    """Its masks were random, no wiring, and one was used as a weight matrix: they are folded in."""
    golden = np.load(golden_data / "ember_stride_aware_cfc_HEAD_shim.npz")
    prefix = f"{mode}_s{stride}/"
    w = {k.removeprefix(prefix): golden[k] for k in golden if k.startswith(prefix)}
    cell = nn.TimeGateCfCCell(4, 8, mode, stride, backbone_units=10).astype("float64")
    kernel = w["input_mask"][:, None] * w["kernel"]
    recurrent = w["recurrent_mask"] @ w["recurrent_kernel"]
    arrays = {
        "backbone.layers.0.weight": LECUN * np.concatenate([kernel, recurrent]),
        "backbone.layers.0.bias_vector": LECUN * w["bias"],
        "backbone.layers.2.weight": LECUN * w["backbone_kernel_0"],
        "backbone.layers.2.bias_vector": LECUN * w["backbone_bias_0"],
        "backbone.layers.4.weight": w["backbone_out"],
        "backbone.layers.4.bias_vector": w["recurrent_bias"],
        "time_kernel": w["time_kernel"][0],
    }
    if mode != "no_gate":
        gate = np.concatenate([w["gate_kernel"], w["gate_recurrent_kernel"]])
        arrays |= {"gate.weight": gate, "gate.bias_vector": w["gate_bias"]}
    assert arrays.keys() == cell.state_dict().keys()
    there.put(cell, arrays)
    out, state = there.run(nn.Recurrent(cell), golden["x"], elapsed=golden["dt"][:, :, 0])
    np.testing.assert_allclose(out, w["h"], **FLOAT64)
    np.testing.assert_allclose(state, w["h"][:, -1], **FLOAT64)
    np.testing.assert_allclose(out * w["output_mask"], w["out"], **FLOAT64)


@pytest.fixture(scope="module")
def later(golden_data):
    return np.load(golden_data / "ember_motor_gate_multistride_HEAD_shim.npz")


def test_gated_merge_of_liquid_cell_and_lstm_is_the_later_versions(there, later):
    g = {k.removeprefix("gated/"): later[k] for k in later if k.startswith("gated/")}
    cell = nn.LSTMGatedCell(4, Leaky(there.array(g["cfc_W"])), Leaky(there.array(g["lstm_W"])))
    layer = nn.Recurrent(cell, proj_size=2)
    there.put(
        layer,
        {
            "cell.projection.weight": g["cfc_in_W"],
            "cell.projection.bias_vector": g["cfc_in_b"],
            "cell.gate.weight": g["gate_W"],
            "cell.gate.bias_vector": g["gate_b"],
            "projection.weight": g["out_W"],
            "projection.bias_vector": g["out_b"],
        },
    )
    np.testing.assert_allclose(there.run(layer, g["x"])[0], g["output"], **FLOAT64)


def test_multi_stride_merge_is_the_later_versions(there, later):
    g = {k.removeprefix("multistride/"): later[k] for k in later if k.startswith("multistride/")}
    cells = [Leaky(there.array(np.eye(4)), float(leak)) for leak in g["leak"]]
    layer = nn.Recurrent(nn.MultiStrideCell(4, cells, (1, 3, 5)), proj_size=2)
    arrays = {"projection.weight": g["out_W"], "projection.bias_vector": g["out_b"]}
    for i, stride in enumerate((1, 3, 5)):
        arrays[f"cell.projections.{i}.weight"] = g[f"proj{stride}_W"]
        arrays[f"cell.projections.{i}.bias_vector"] = g[f"proj{stride}_b"]
    there.put(layer, arrays)
    np.testing.assert_allclose(there.run(layer, g["x"])[0], g["output"], **FLOAT64)
