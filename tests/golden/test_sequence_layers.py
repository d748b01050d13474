"""CfC layers with projection and mixed memory against the ncps package."""

from __future__ import annotations

import numpy as np
import pytest

from ember_core.nn import LTC, AutoNCP, CfC

TOLERANCE = {"float32": {"rtol": 1e-5, "atol": 2e-6}, "float64": {"rtol": 1e-9, "atol": 1e-12}}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE)
SHORT = {"float32": "f32", "float64": "f64"}


def load(there, golden, *, mixed):
    """A layer with the weights of the reference's."""
    layer = CfC(4, AutoNCP(19, 3, 0.5, seed=123), proj_size=2, mixed_memory=mixed)
    cell = layer.cell.cell if mixed else layer.cell
    for i, head in enumerate(cell.layers):
        w = {n: golden[f"w/rnn_cell.layer_{i}.{n}"] for n in head_names(golden, i)}
        names = ("ff1", "ff2", "time_a", "time_b")
        there.put(
            head,
            {
                "weight": np.concatenate([w[f"{n}.weight"] for n in names]).T,
                "bias": np.concatenate([w[f"{n}.bias"] for n in names]),
            },
        )
    there.put(
        layer.projection, {"weight": golden["w/fc.weight"].T, "bias_vector": golden["w/fc.bias"]}
    )
    if mixed:
        maps = (golden["w/lstm.input_map.weight"], golden["w/lstm.recurrent_map.weight"])
        bias = golden["w/lstm.input_map.bias"]
        there.put(layer.cell.memory, {"weight": np.concatenate(maps, axis=1).T, "bias": bias})
    return layer


def head_names(golden, layer):
    prefix = f"w/rnn_cell.layer_{layer}."
    return [k.removeprefix(prefix) for k in golden if k.startswith(prefix)]


@DTYPES
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed_memory"])
def test_outputs_and_final_state_of_the_cfc_layer_are_those_of_ncps(
    there, golden_data, mixed, dtype
):
    golden = np.load(golden_data / f"ncps_cfc_layer_wired{'_mixed' if mixed else ''}.npz")
    layer = load(there, golden, mixed=mixed).astype(dtype)
    x, ts = golden["x"].astype(dtype), golden["ts"].astype(dtype)
    output, state = there.run(layer, x, elapsed=ts)
    assert output.dtype == dtype
    close = TOLERANCE[dtype]
    np.testing.assert_allclose(output, golden[f"out_{SHORT[dtype]}"], **close)
    np.testing.assert_allclose(state[:, :19], golden[f"h_{SHORT[dtype]}"], **close)
    if mixed:
        np.testing.assert_allclose(state[:, 19:], golden[f"c_{SHORT[dtype]}"], **close)
    untimed = there.run(layer, x)[0]
    np.testing.assert_allclose(untimed, golden[f"out_nots_{SHORT[dtype]}"], **close)


@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed_memory"])
def test_a_batch_of_irregular_times_gives_each_sequence_the_output_ncps_gives_it_alone(
    there, golden_data, mixed
):
    """ncps itself fails on such a batch; beside others a sequence must come out the same."""
    golden = np.load(golden_data / f"ncps_cfc_layer_wired{'_mixed' if mixed else ''}.npz")
    layer = load(there, golden, mixed=mixed).astype("float64")
    x, ts = golden["x"].astype("float64"), golden["ts"].astype("float64")
    rng = np.random.default_rng(1)
    others = rng.standard_normal((18, 20, 4)), rng.exponential(size=(18, 20))
    both = (np.concatenate(pair) for pair in zip((x, ts), others, strict=True))
    output, _ = there.run(lambda x, ts: layer(x, elapsed=ts), *both)
    np.testing.assert_allclose(output[:1], golden["out_f64"], rtol=1e-9, atol=1e-12)


@DTYPES
@pytest.mark.parametrize("kind", ["explicit", "implicit"])
def test_outputs_and_states_of_the_ltc_layer_are_those_of_ncps(there, golden_data, kind, dtype):
    golden = np.load(golden_data / f"ncps_ltc_{kind}.npz")
    wiring = AutoNCP(19, 3, 0.5, seed=123)
    layer = LTC(4, wiring, ode_unfolds=6, implicit_constraints=kind == "implicit")
    own = dict(layer.cell.named_parameters())
    there.put(layer.cell, {n: golden[f"w/{n}"] for n in own})
    layer.astype(dtype)
    x, ts, h0 = (golden[k].astype(dtype) for k in ("x", "ts", "h0"))
    output, state = there.run(layer, x, h0, ts)
    np.testing.assert_allclose(output, golden[f"out_{SHORT[dtype]}"], **TOLERANCE[dtype])
    np.testing.assert_allclose(state, golden[f"h_{SHORT[dtype]}"][:, -1], **TOLERANCE[dtype])
